"""The worker's decisions: from a turn's records to the rows that they change.

Stands between the stage, which gives it ``profile.interactions``, ``profile.changes``,
``segment.changes`` and ``message.changes``, and the store. It emits nothing.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from schemas.messages import MessageChanged, SegmentChanged
from services.reporting.model import (
    Cells,
    ChangeView,
    Held,
    InteractionView,
    Newest,
    RowId,
    State,
    Told,
)
from services.reporting.rules import activity, messages, people, tables
from services.reporting.rules.deltas import Deltas, contribute, decode, encode
from services.runtime.turn import Record, Source, Turn

GROUP = "reporting"
TOPICS = (
    "profile.interactions",
    "profile.changes",
    "segment.changes",
    "message.changes",
)
INTERACTION = "regulars.interaction.recorded.v1"

_CHANGE = msgspec.json.Decoder(ChangeView)
_INTERACTION = msgspec.json.Decoder(InteractionView)
_SEGMENT = msgspec.json.Decoder(SegmentChanged)
_MESSAGE = msgspec.json.Decoder(MessageChanged)
_UNFIT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Body = TypeVar("Body")


class Changes:
    """What one turn changes, to be stored together."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.deltas = Deltas()
        self.held: dict[str, Held] = {}
        """The new contributions, by profile id."""
        self.told: dict[str, Told] = {}
        """The messages that reached a new state, by message id."""
        self.heard: set[tuple[str, int]] = set()
        """The topics and partitions that had records."""

    @property
    def rows(self) -> dict[tuple[RowId, int], Cells]:
        """What to add to each row's part of each partition; nothing that is zero."""
        return self.deltas.settle()


class Store(Protocol):
    """What the handler needs kept; ``session`` is the turn's transaction."""

    async def held(self, session: Any, profile_ids: Collection[str]) -> dict[str, Held]:
        """The last contributions of these profiles, of those that have one."""

    async def told(self, session: Any, message_ids: Collection[str]) -> dict[str, Told]:
        """What is known of these messages, of those that were heard of."""

    async def save(self, session: Any, changes: Changes) -> None:
        """Store everything that one turn changed."""


class ReportingHandler:
    """Folds each turn into the tables (``services.runtime.turn.Handler``)."""

    def __init__(self, store: Store, cached_people: int = 200_000) -> None:
        self._store = store
        self._cached_people = cached_people
        self._cache: OrderedDict[str, tuple[Source, Held]] = OrderedDict()

    async def handle(self, turn: Turn) -> None:
        """Count every record of the turn, once."""
        changes = Changes(turn.now)
        by_topic: dict[str, list[Record]] = {topic: [] for topic in TOPICS}
        for record in turn.records:
            by_topic[record.source.topic].append(record)
            changes.heard.add((record.source.topic, record.source.partition))
        interactions, profiles, segments, steps = (by_topic[topic] for topic in TOPICS)
        _count_interactions(turn, interactions, changes)
        await self._count_people(turn, profiles, changes)
        _count_memberships(turn, segments, changes)
        await self._count_messages(turn, steps, changes)
        await self._store.save(turn.session, changes)

    async def committed(self, turn: Turn) -> None:
        """Nothing happens outside."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Nothing is ever left unfinished."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Forget the contributions of these partitions, or all of them."""
        if sources is None:
            self._cache.clear()
            return
        gone = {source.id for source in sources}
        for profile_id in [key for key, (at, _) in self._cache.items() if at.id in gone]:
            del self._cache[profile_id]

    async def _count_people(self, turn: Turn, records: list[Record], changes: Changes) -> None:
        states = _states(turn, records)
        before = await self._before(turn, states)
        for profile_id, lane in states.items():
            old = before.get(profile_id, people.NOBODY)
            newest = people.newest(old, [state for _, state in lane])
            if newest is None:
                turn.drop("older_version", len(lane))
                continue
            record = lane[newest.place][0]
            new = _recount(turn, record, newest, old)
            if new is None:
                continue
            if people.tells(old, newest, new):
                changes.deltas.subtract(record.source.partition, decode(old.rows))
                changes.deltas.add(record.source.partition, decode(new.rows))
                changes.held[profile_id] = new
            self._remember(profile_id, record.source, new)

    async def _before(self, turn: Turn, profile_ids: Collection[str]) -> dict[str, Held]:
        """What these profiles have added so far; taken whole, since remembering evicts."""
        known = {key: self._cache[key][1] for key in profile_ids if key in self._cache}
        missing = [key for key in profile_ids if key not in known]
        return known | (await self._store.held(turn.session, missing) if missing else {})

    async def _count_messages(self, turn: Turn, records: list[Record], changes: Changes) -> None:
        steps = list(_decoded(turn, records, _MESSAGE))
        if not steps:
            return
        # Not cached: a message whose person was merged moves to another partition.
        known = await self._store.told(turn.session, {step.message_id for _, step in steps})
        for record, step in steps:
            before = known.get(step.message_id)
            after = messages.fold(before, step)
            if after is before:
                turn.drop("repeated_state")
                continue
            partition = record.source.partition
            if before is not None:
                changes.deltas.subtract(partition, contribute(tables.OVER_MESSAGES, before))
            changes.deltas.add(partition, contribute(tables.OVER_MESSAGES, after))
            known[step.message_id] = changes.told[step.message_id] = after

    def _remember(self, profile_id: str, source: Source, held: Held) -> None:
        self._cache[profile_id] = (source, held)
        self._cache.move_to_end(profile_id)
        if len(self._cache) > self._cached_people:
            self._cache.popitem(last=False)


def _recount(turn: Turn, record: Record, newest: Newest, old: Held) -> Held | None:
    """What the profile now adds, or None when it does not fit: it counts on as it was."""
    mark = people.fingerprint(newest.profile)
    if mark == old.fingerprint:
        return Held(newest.version, mark, old.rows)
    if newest.profile is None:
        return Held(newest.version, mark, b"")
    try:
        person = people.person(newest.profile)
    except _UNFIT as error:
        turn.reject(record, "invalid", str(error))
        return None
    return Held(newest.version, mark, encode(contribute(tables.OVER_PEOPLE, person)))


def _states(turn: Turn, records: list[Record]) -> dict[str, list[tuple[Record, State]]]:
    """The turn's states of each profile, in the order they came."""
    states: dict[str, list[tuple[Record, State]]] = {}
    for record in records:
        profile_id = (record.key or b"").decode("utf-8", "replace")
        change = None
        if record.value is not None:
            change = _decode(turn, record, _CHANGE)
            if change is None:
                continue
        if not profile_id or (change and change.profile_id != profile_id):
            # Counted here, the person would be counted in another partition as well.
            turn.reject(record, "wrong_key", "the key is not the profile_id")
            continue
        state = State(change.profile, change.version) if change else State(None, None)
        states.setdefault(profile_id, []).append((record, state))
    return states


def _count_interactions(turn: Turn, records: list[Record], changes: Changes) -> None:
    seen: Counter[tuple[int, datetime, str]] = Counter()
    for record in records:
        if record.headers.get("ce_type") != INTERACTION.encode():
            turn.drop("identity_change")
        elif "first_origin" in record.headers:
            # Sent on to the survivor of a merge; it was counted when it first came.
            turn.drop("forwarded")
        else:
            body = _decode(turn, record, _INTERACTION)
            if body is not None:
                minute = body.received_at.replace(second=0, microsecond=0)
                seen[record.source.partition, minute, body.name] += 1
    for (partition, minute, name), count in seen.items():
        counted = activity.kept(tables.OVER_EVENTS, minute, turn.now)
        rows = contribute(counted, InteractionView(minute, name))
        changes.deltas.add(partition, rows, count)


def _count_memberships(turn: Turn, records: list[Record], changes: Changes) -> None:
    for record, change in _decoded(turn, records, _SEGMENT):
        changes.deltas.add(record.source.partition, contribute(tables.OVER_SEGMENTS, change))


def _decoded(
    turn: Turn, records: list[Record], decoder: msgspec.json.Decoder[Body]
) -> Iterator[tuple[Record, Body]]:
    for record in records:
        body = _decode(turn, record, decoder)
        if body is not None:
            yield record, body


def _decode(turn: Turn, record: Record, decoder: msgspec.json.Decoder[Body]) -> Body | None:
    """The record's body, or None after rejecting it."""
    try:
        return decoder.decode(record.value or b"")
    except _UNFIT as error:
        turn.reject(record, "invalid", str(error))
        return None
