"""The build handler between ten-line fakes, and resolve's side of its topic."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from schemas.messages import (
    Definition,
    Identifier,
    IdentityMerged,
    IdentityRearranged,
    Interaction,
)
from services.profile.build.changes import Limits
from services.profile.build.handler import Build
from services.profile.build.inbox import CHANGED, MERGED, REARRANGED, RECORDED
from services.profile.build.kept import Kept, decode
from services.profile.build.model import encode_state
from services.profile.build.rules.computed import Composition
from services.profile.build.sweep import Progress
from services.runtime.turn import Record, Source, Timer, Turn
from tests.people import START, at

ORIGIN = "profile-resolve/events.clicks/0"
OTHER = "profile-resolve/events.people/0"
"""Another partition of resolve's: what comes of it may overtake what comes of ``ORIGIN``."""


class Stored:
    """The profiles as stored: bytes, so that no test shares objects with the handler."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[bytes, int, str]] = {}
        self.sweeps: dict[str, Progress] = {}
        self.compositions: dict[str, Composition] = {}

    async def load(self, profile_ids: Sequence[str], session: Any) -> dict[str, Kept]:
        return {id: decode(self.rows[id][0]) for id in profile_ids if id in self.rows}

    async def save(self, rows: Sequence[Any], session: Any) -> None:
        for row in rows:
            fingerprint = "" if row.into else row.fingerprint
            self.rows[row.profile_id] = (row.stored, row.partition, fingerprint)

    async def stale(
        self, partition: int, behind: tuple[str, str], limit: int, session: Any
    ) -> tuple[list[str], str]:
        fingerprint, cursor = behind
        ids = sorted(id for id, (_, p, _) in self.rows.items() if p == partition and id > cursor)
        seen = ids[:limit]
        stale = [id for id in seen if self.rows[id][2] not in ("", fingerprint)]
        return stale, seen[-1] if seen else ""

    async def progress(self, source_id: str, session: Any) -> Progress | None:
        return self.sweeps.get(source_id)

    async def proceed(self, source: Source, progress: Progress, session: Any) -> None:
        self.sweeps[source.id] = progress

    async def compose(self, composition: Composition, session: Any) -> None:
        self.compositions[composition.fingerprint] = composition

    async def composition(self, fingerprint: str, session: Any) -> Composition | None:
        return self.compositions.get(fingerprint)

    async def valued_otherwise(
        self, partition: int, rates: tuple[str, str], limit: int, session: Any
    ) -> list[str]:
        def behind(stored: bytes) -> bool:
            kept = decode(stored)
            if kept.worth is None:
                return bool(kept.state.orders)
            return kept.worth.rates not in rates

        return [id for id, (stored, p, _) in sorted(self.rows.items())
                if p == partition and behind(stored)][:limit]  # fmt: skip

    def state(self, profile_id: str) -> bytes:
        return encode_state(decode(self.rows[profile_id][0]).state)


class Past:
    """What resolve has stored: interactions under the id they were attributed to."""

    def __init__(self) -> None:
        self.said: list[Interaction] = []
        self.seqs = {ORIGIN: 0, OTHER: 0}
        self.former: dict[str, list[str]] = {}
        self.read: list[set[str]] = []
        """Whose histories were read, at each time."""

    async def fates(
        self, profile_ids: Sequence[str], session: Any
    ) -> dict[str, tuple[str | None, list[str]]]:
        return {id: (self.into(id), self.former.get(id, [])) for id in profile_ids}

    def into(self, profile_id: str) -> str | None:
        """Who has absorbed a profile, and was not absorbed itself."""
        named = [id for id, all in self.former.items() if profile_id in all]
        return next((id for id in named if self.into(id) is None), None)

    async def vector(self, session: Any) -> dict[str, int]:
        return self.seqs

    async def interactions(self, profile_ids: Sequence[str], session: Any):
        self.read.append(set(profile_ids))
        for said in self.said:
            for placed in (said.profile_id, said.handed_to):
                if placed in profile_ids:
                    yield [(placed, msgspec.json.encode(said))]


class Declared:
    """Definitions that a test declares."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], Definition] = {}
        self.revision = 0

    def withdraw(self, key: str) -> None:
        if self.current.pop(("computed_trait", key), None) is not None:
            self.revision += 1

    def rebuild(self) -> None:
        self.revision += 1
        self.current["rebuild", "all"] = Definition(
            kind="rebuild", name="all", version=self.revision, updated_at=START, body={}
        )

    def declare(self, key: str, *, kind: str = "computed_trait", **body: Any) -> None:
        self.revision += 1
        self.current[kind, key] = Definition(
            kind=kind, name=key, version=self.revision, updated_at=START, body=body
        )

    def rate(self, month: str, reference: str = "EUR", **days: dict[str, str]) -> None:
        """Exchange rates, by the day of the month as ``d02``."""
        self.revision += 1
        told = {f"{month}-{day[1:]}": rates for day, rates in days.items()}
        self.current["rates", month] = Definition(
            kind="rates", name=month, version=self.revision, updated_at=START,
            body={"reference": reference, "days": told},
        )  # fmt: skip


class World:
    """A handler between its fakes, and resolve's side of the topic."""

    def __init__(self, limits: Limits | None = None, base: str | None = None) -> None:
        self.stored, self.past, self.declared = Stored(), Past(), Declared()
        self.build = Build(self.stored, self.past, self.declared, limits, base_currency=base)
        self.source = Source("profile-build/profile.interactions/3", "profile.interactions", 3)
        self.now = at(1_000)

    def record(self, message: Any, type: str, key: str | None = None, **headers: Any) -> Record:
        """A record as resolve writes it."""
        origin = OTHER if type == REARRANGED else ORIGIN
        self.past.seqs[origin] += 1
        given = {"ce_type": type, "origin": origin, "seq": self.past.seqs[origin], **headers}
        encoded = {name: str(value).encode() for name, value in given.items()}
        value = message if isinstance(message, bytes) else msgspec.json.encode(message)
        key = key or message.profile_id
        return Record(self.source_of(key), 0, key.encode(), value, encoded)

    def source_of(self, key: str) -> Source:
        """The partition of a key: one for all here."""
        return self.source

    def says(self, *said: Interaction) -> list[Record]:
        """Interactions that resolve has stored and published."""
        self.past.said += said
        return [self.record(interaction, RECORDED) for interaction in said]

    def merges(self, profile_id: str, into: str, *, history: bool = False) -> list[Record]:
        """A merge that resolve has found."""
        former = self.past.former
        former[into] = [*former.get(into, []), profile_id, *former.get(profile_id, [])]
        merged = IdentityMerged(
            profile_id=profile_id,
            into=into,
            message_id="link",
            identifier=Identifier("email", "a@x.io"),
            at=at(50),
            history=history,
        )
        return [self.record(merged, MERGED)]

    def rearranges(self, *profile_ids: str, history: bool = False) -> list[Record]:
        """Whose interactions are whose was decided anew, for these."""
        return [
            self.record(
                IdentityRearranged(profile_id=each, message_id="d1", at=at(60), history=history),
                REARRANGED,
            )
            for each in profile_ids
        ]

    def revives(self, profile_id: str) -> list[Record]:
        """An absorbed profile is one of its own again, without those that it had absorbed."""
        former = self.past.former
        survivor = self.past.into(profile_id)
        for id, all_ in former.items():
            former[id] = [each for each in all_ if each != profile_id and id != profile_id]
        return self.rearranges(profile_id, survivor, *former[survivor])

    def moves(self, interaction_id: str, into: str) -> None:
        """An interaction turns out to be another person's."""
        self.past.said = [
            msgspec.structs.replace(said, profile_id=into)
            if said.interaction_id == interaction_id
            else said
            for said in self.past.said
        ]

    async def turn(self, records: Sequence[Record] = (), timers: Sequence[Timer] = ()) -> Turn:
        """One committed turn."""
        self.now += timedelta(seconds=1)
        turn = Turn(now=self.now, session=None, records=records, timers=timers)
        await self.build.handle(turn)
        await turn.written()
        await self.build.committed(turn)
        for record in records:
            origin, seq = record.header("origin"), int(record.header("seq"))
            origins = record.source.origins
            origins[origin] = max(seq, origins.get(origin, 0))
        return turn

    async def fire(self, turn: Turn) -> Turn:
        """The turn in which the timers that ``turn`` set come due."""
        return await self.turn(timers=list(turn.timers_set.values()))


def journal(turn: Turn) -> list[dict[str, Any]]:
    """Everything that the turn publishes, decoded."""
    for source, message in turn.messages:
        assert source.id == "profile-build/profile.interactions/3"
        assert message.topic == (
            "profile.changes" if message.type == CHANGED else "profile.interactions"
        )
    return [
        {**msgspec.json.decode(message.value), "ce_type": message.type, "key": message.key}
        for _, message in turn.messages
    ]


def again(message: Any, world: World) -> Record:
    """What build published on profile.interactions, as the survivor's owner gets it."""
    headers = {"origin": "profile-build/profile.interactions/3", "seq": 1}
    headers |= {name: value.decode() for name, value in message.extra}
    return world.record(message.value, message.type, key=message.key, **headers)
