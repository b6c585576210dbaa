"""From rows to batches, the unit of sending and of resuming; also what a dry run reads."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from services.ingest.history.expressions import column, named
from services.ingest.history.files.reading import Reader
from services.ingest.history.grouping import grouped, single
from services.ingest.history.mapping import Mapper
from services.ingest.history.model import Made, Mapping, Refusal, Unit, Unread, Value
from services.ingest.model import MAX_BODY, MAX_EVENT

_BYTES = MAX_BODY - 20_000
_ROWS = 5_000
"""Rows that become nothing end a batch too, so that progress is noted."""


class Batch(Struct):
    """Events that are sent together, and the place in the file that is done with them."""

    made: list[Made] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    size: int = 0
    """Bytes of the events."""
    rows: int = 0
    skipped: int = 0
    """Units that are no event, as the mapping says."""
    end: int = 0
    line: int = 0

    @property
    def body(self) -> bytes:
        """What ``/v1/import`` takes."""
        return b'{"batch":[' + b",".join([each.text for each in self.made]) + b"]}"


def units(reader: Reader, mapping: Mapping, start: tuple[int, int]) -> Iterator[Unit | Unread]:
    """The units of a file from a place (offset, line) on."""
    rows = reader.rows(*start)
    spec = mapping.group_by
    if spec is None:
        return single(rows)
    if isinstance(spec, Value) and spec.column is not None:
        return grouped(rows, column(spec.column, reader.columns))
    text = spec if isinstance(spec, str) else spec.expr or ""
    return grouped(rows, named(text, reader.columns))


def batches(items: Iterable[Unit | Unread], mapper: Mapper, size: int) -> Iterator[Batch]:
    """The items in order, at most about ``size`` events and never too many bytes at once."""
    batch = Batch()
    for item in items:
        made: list[Made] = []
        refused: list[Refusal] = []
        if isinstance(item, Unread):
            refused.append(Refusal(item.line, item.fault.code, item.fault.detail))
        else:
            for one in mapper.make(item):
                if isinstance(one, Refusal):
                    refused.append(one)
                elif len(one.text) > MAX_EVENT:
                    refused.append(_too_large(one))
                else:
                    made.append(one)
        bytes_ = sum(len(one.text) + 1 for one in made)
        if batch.made and (batch.size + bytes_ > _BYTES or len(batch.made) + len(made) > size):
            yield batch
            batch = Batch()
        batch.made += made
        batch.refused += refused
        batch.size += bytes_
        batch.skipped += not made and not refused
        batch.rows += _rows(item, grouped=mapper.groups)
        batch.end = item.end
        batch.line = item.last_line if isinstance(item, Unit) else item.line
        if len(batch.refused) >= size or batch.rows >= _ROWS:
            yield batch
            batch = Batch()
    if batch.rows:
        yield batch


def _rows(item: Unit | Unread, *, grouped: bool) -> int:
    if grouped and isinstance(item, Unit) and item.lines is not None:
        return len(item.lines)
    return 1


def _too_large(one: Made) -> Refusal:
    detail = f"An event has at most {MAX_EVENT:,} bytes."
    return Refusal(one.line, "event_too_large", detail, message_id=one.message_id)
