"""How a turn moves the partitions on: offsets, origins, sequence numbers. Pure."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from schemas.topics import EVENTS, MEANT_FOR
from services.runtime import deadletter
from services.runtime.checkpoints import Advance
from services.runtime.publish import output_of
from services.runtime.turn import Output, Record, Source, Turn

Origins = dict[str, dict[str, int]]
"""The highest seq by origin, by source id."""

_OPEN = frozenset(topic.name for topic in EVENTS)
"""Topics that storefronts write too: their senders are not believed about origin and seq."""


def meant(records: Sequence[Record], stage: str) -> list[Record]:
    """The records without those that were replayed for another reader of their topic."""
    name = stage.encode()
    return [record for record in records if record.headers.get(MEANT_FOR, name) == name]


def fresh(records: Sequence[Record]) -> tuple[list[Record], Origins]:
    """The records that no earlier turn has handled, and the origins' progress with them.

    A record written by a stage carries ``origin`` (the checkpoint that produced it) and
    ``seq`` (that checkpoint's counter); whatever is not above the highest seq seen of its
    origin was published again after a crash.
    """
    new: list[Record] = []
    origins: Origins = {}
    for record in records:
        source = record.source
        if source.topic in _OPEN:
            new.append(record)
            continue
        origin, number = record.headers.get("origin"), record.headers.get("seq", b"")
        if origin is not None and number.isdigit():
            seen = origins.get(source.id)
            if seen is None:
                seen = origins[source.id] = dict(source.origins)
            name, seq = origin.decode(), int(number)
            if seq <= seen.get(name, 0):
                continue
            seen[name] = seq
        new.append(record)
    return new, origins


def advances(turn: Turn, records: Sequence[Record], origins: Origins, stage: str) -> list[Advance]:
    """The next checkpoint of each source that the turn touched, its outbox included."""
    by_source: dict[str, Advance] = {}
    last: Source | None = None
    for record in records:
        if record.source is not last:  # They come in runs.
            last = record.source
            advance = _advance(by_source, last, origins)
        if record.offset >= advance.offset:
            advance.offset = record.offset + 1
    for timer in turn.timers:
        _advance(by_source, timer.source, origins)
    for completion in turn.completions:
        _advance(by_source, completion.source, origins)
    name, last = f"/{stage}", None
    for source, message in turn.messages:
        if source is not last:
            last, origin = source, ("origin", source.id.encode())
            advance = _advance(by_source, source, origins)
        advance.seq += 1
        numbered = (origin, ("seq", b"%d" % advance.seq))
        if isinstance(message, Output):
            headers = [*message.headers, *numbered]
            advance.outputs.append(replace(message, headers=headers))
        else:
            advance.outputs.append(output_of(message, name, numbered))
    for rejected in turn.rejected:
        output = deadletter.output_of(rejected, stage, turn.now)
        _advance(by_source, rejected.record.source, origins).outputs.append(output)
    return list(by_source.values())


def _advance(
    by_source: dict[str, Advance], source: Source, origins: Mapping[str, dict[str, int]]
) -> Advance:
    advance = by_source.get(source.id)
    if advance is None:
        seen = origins.get(source.id, source.origins)
        advance = Advance(source, source.offset, source.seq, seen, [])
        by_source[source.id] = advance
    return advance
