"""What the notifier's tests share: a campaign, people, and records of segment.changes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.messages import Consent, Definition, Identifier, SegmentChanged
from services.notifier.model import Campaign, Entry, Live, Recipient
from services.notifier.rules import decide
from services.runtime.turn import Record, Source

NOW = datetime(2036, 5, 4, 12, 0, tzinfo=UTC)
SOURCE = "notifier/segment.changes/0"
BODY: Mapping[str, Any] = {
    "name": "Cart left behind",
    "trigger": {"segment": "cart-left"},
    "from": "Shop <hello@shop.example>",
    "subject": "Hello {{ traits.firstName }}",
    "text": "Come back. {{ unsubscribe_url }}",
}


def live(key: str = "cart", version: int = 1, **fields: Any) -> Live:
    """A campaign as the workers know it; ``fields`` as in a definition's body."""
    return Live(key, version, msgspec.convert({**BODY, **fields}, Campaign))


class FakeDefinitions:
    """Definitions that a test puts itself."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], Definition] = {}
        self.revision = 0

    def put(self, key: str = "cart", version: int = 1, **fields: Any) -> None:
        self.current["campaign", key] = Definition(
            kind="campaign", name=key, version=version, updated_at=NOW, body={**BODY, **fields}
        )
        self.revision += 1

    def delete(self, key: str) -> None:
        del self.current["campaign", key]
        self.revision += 1


def changed(profile_id: str = "p1", change: str = "entered", **fields: Any) -> SegmentChanged:
    """A person enters or leaves ``cart-left`` now."""
    return msgspec.convert(
        {
            "profile_id": profile_id,
            "segment": "cart-left",
            "definition_version": 1,
            "change": change,
            "occurrence": 1,
            "at": NOW,
            "decided_at": NOW,
            "profile_version": 1,
            **fields,
        },
        SegmentChanged,
    )


def record(source: Source, change: SegmentChanged) -> Record:
    """``change`` as it lies on segment.changes."""
    return Record(source, 0, change.profile_id.encode(), msgspec.json.encode(change), {})


def entry(profile_id: str = "p1", **fields: Any) -> Entry:
    """A decision taken now."""
    made = decide(live(), changed(profile_id), SOURCE, NOW)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def recipient(profile_id: str = "p1", consent: str | None = "granted", **fields: Any) -> Recipient:
    """A person who has an address, and agreed a day ago unless said otherwise."""
    said = {}
    if consent is not None:
        at = NOW - timedelta(days=1)
        said["email"] = msgspec.convert(
            {"state": consent, "at": at, "message_id": "c1"}, type=Consent
        )
    traits = {"firstName": "Ada", "email": "ada@example.com"}
    return Recipient(**{"profile_id": profile_id, "traits": traits, "consent": said, **fields})


def email(value: str) -> Identifier:
    """An email identifier."""
    return Identifier("email", value)
