"""Short ways to say what a person did, for tests of profile and its readers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw

from schemas.addresses import digest_of
from schemas.messages import Confirmation, Identifier, Interaction, MessageChanged

ANN = "ann@example.com"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """An instant, in seconds after the start of every test's time."""
    return START + timedelta(seconds=seconds)


def did(
    name: str,
    seconds: float = 0,
    *,
    id: str | None = None,
    profile_id: str = "p1",
    type: str = "track",
    identifiers: tuple[tuple[str, str], ...] = (("anonymous_id", "a1"),),
    history: bool = False,
    **event: Any,
) -> Interaction:
    """One interaction; ``event`` are the parts of the event's body, such as properties."""
    message_id = id or f"{name}@{seconds}"
    body = {"messageId": message_id, "type": type, "event": name, **event}
    return Interaction(
        interaction_id=message_id,
        profile_id=profile_id,
        at=at(seconds),
        received_at=at(seconds),
        type=type,
        name=name,
        source="shop",
        identifiers=[Identifier(*pair) for pair in identifiers],
        history=history,
        event=Raw(msgspec.json.encode(body)),
    )


def identified(seconds: float = 0, *, id: str | None = None, **traits: Any) -> Interaction:
    """An identify call with these traits."""
    return did("Identify", seconds, id=id, type="identify", traits=traits)


def ordered(seconds: float = 0, *, name: str = "Order Completed", **properties: Any) -> Interaction:
    """An order event, of the order o1 unless it says otherwise."""
    id = properties.pop("id", None)
    return did(name, seconds, id=id, properties={"order_id": "o1", **properties})


def confirmed(
    seconds: float, of: datetime, purpose: str = "marketing", *, address: str = ANN
) -> Interaction:
    """A click on the link, sent to ``address``, that confirms what was granted at ``of``."""
    step = MessageChanged(
        change_id=f"clicked@{seconds}",
        message_id="m1",
        profile_id="p1",
        campaign="c",
        campaign_version=0,
        state="clicked",
        at=at(seconds),
        confirms=Confirmation(
            purpose=purpose,
            statement_id="s1",
            statement_at=of,
            ip="192.0.2.7",
            address=digest_of(address) if address else "",
        ),
    )
    said = did("Message Clicked", seconds, type="message")
    said.event, said.source = Raw(msgspec.json.encode(step)), "notifier"
    return said
