"""A store in memory and records for the reporting handler."""

import copy
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.messages import Cause, Identifier, Interaction, Profile, ProfileChanged
from services.reporting.handler import GROUP, INTERACTION, Changes
from services.reporting.model import Held, RowId, Told
from services.reporting.rules.money import plus
from services.runtime.turn import Record, Source, Turn

NOW = datetime(2036, 1, 31, 12, tzinfo=UTC)

Rows = dict[tuple[str, str, tuple[str, ...]], dict[str, Any]]


class FakeStore:
    """``handler.Store`` in dictionaries; it journals what was asked and saved."""

    def __init__(self) -> None:
        self.parts: defaultdict[tuple[RowId, int], dict[str, Any]] = defaultdict(dict)
        self.people: dict[str, Held] = {}
        self.messages: dict[str, Told] = {}
        self.heard: set[tuple[str, int]] = set()
        self.asked: list[set[str]] = []
        self.saved: list[set[str]] = []

    async def held(self, session: Any, profile_ids: Collection[str]) -> dict[str, Held]:
        self.asked.append(set(profile_ids))
        return {key: self.people[key] for key in profile_ids if key in self.people}

    async def told(self, session: Any, message_ids: Collection[str]) -> dict[str, Told]:
        return {key: self.messages[key] for key in message_ids if key in self.messages}

    async def save(self, session: Any, changes: Changes) -> None:
        for at, cells in changes.rows.items():
            for name, value in cells.items():
                self.parts[at][name] = plus(self.parts[at].get(name, 0), value)
        self.people |= changes.held
        self.messages |= changes.told
        self.heard |= changes.heard
        self.saved.append(set(changes.held))

    def copy(self) -> "FakeStore":
        return copy.deepcopy(self)

    def rows(self, table: str | None = None) -> Rows:
        """The rows added up over partitions, without what is zero."""
        sums: Rows = defaultdict(dict)
        for (row, _), cells in self.parts.items():
            for name, value in cells.items():
                sums[row][name] = plus(sums[row].get(name, 0), value)
        settled = {row: {k: v for k, v in cells.items() if v} for row, cells in sums.items()}
        return {row: c for row, c in settled.items() if c and table in (None, row[0])}


class Log:
    """Records of the four topics, each with its offset."""

    def __init__(self, partitions: int = 2) -> None:
        self.partitions = partitions
        self.sources: dict[tuple[str, int], Source] = {}

    def source(self, topic: str, key: str) -> Source:
        partition = sum(key.encode()) % self.partitions
        made = Source(f"{GROUP}/{topic}/{partition}", topic, partition)
        return self.sources.setdefault((topic, partition), made)

    def record(
        self, topic: str, key: str, body: Any, headers: dict[str, bytes] | None = None
    ) -> Record:
        source = self.source(topic, key)
        source.offset += 1
        value = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        return Record(source, source.offset - 1, key.encode(), value, headers or {})

    def changed(self, profile_id: str, version: int, **fields: Any) -> Record:
        """A ``ProfileChanged``: with ``merged_into``, or the profile's fields."""
        into = fields.pop("merged_into", None)
        change = ProfileChanged(
            profile_id=profile_id,
            version=version,
            changed_at=NOW,
            cause=Cause(message_id="m", name="Identify", at=NOW),
            merged_into=into,
            profile=None if into else Profile(profile_id=profile_id, **fields),
        )
        return self.record("profile.changes", profile_id, change)

    def seen(self, profile_id: str, name: str, received_at: datetime, **headers: bytes) -> Record:
        """An ``Interaction``."""
        body = Interaction(
            interaction_id="i",
            profile_id=profile_id,
            at=received_at,
            received_at=received_at,
            type="track",
            name=name,
            identifiers=[Identifier("email", "a@example.com")],
        )
        sent = {"ce_type": INTERACTION.encode(), **headers}
        return self.record("profile.interactions", profile_id, body, sent)


def turn(*records: Record) -> Turn:
    return Turn(now=NOW, session=None, records=records)


def money(amount: str | int) -> Decimal:
    return Decimal(amount)
