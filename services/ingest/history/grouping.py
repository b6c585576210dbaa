"""From rows to units: the lines of an order become one.

Only neighbours are joined, so that memory stays flat. An order whose lines lie apart would
be imported in pieces and counted wrong, so its second piece is refused; the last half
million orders at least are remembered for that.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

from schemas.validation import Fault
from services.ingest.history.model import Cells, Refusal, Row, Unit, Unread

LONGEST = 1_000
"""Lines of one order."""


class Recent:
    """Remembers at least the last ``size`` keys, at most twice as many."""

    def __init__(self, size: int = 500_000) -> None:
        self._size = size
        self._young: set[int] = set()
        self._old: set[int] = set()

    def add(self, key: str) -> bool:
        """Whether ``key`` is new."""
        digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
        if digest in self._young:
            return False
        known = digest in self._old  # Named again, it is young again.
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()
        self._young.add(digest)
        return not known


Item = Unit | Unread | Refusal


def single(rows: Iterable[Row | Unread]) -> Iterator[Unit | Unread]:
    """Every row by itself."""
    for row in rows:
        if isinstance(row, Unread):
            yield row
        else:
            yield Unit(row.line, row.end, row.line, row.cells)


def grouped(rows: Iterable[Row | Unread], key_of: Callable[[Unit], Any]) -> Iterator[Unit | Unread]:
    """Neighbours with the same key as one unit.

    Codes of what is refused: missing_group, group_split, group_too_long, and group_incomplete
    where a row next to the order could not be read: it may be one of its lines.
    """
    return _Grouping(key_of).run(rows)


class _Grouping:
    def __init__(self, key_of: Callable[[Unit], Any]) -> None:
        self._key_of = key_of
        self._seen = Recent()
        self._open: list[Row] = []
        self._key: Any = None
        self._broken = False

    def run(self, rows: Iterable[Row | Unread]) -> Iterator[Unit | Unread]:
        for row in rows:
            if isinstance(row, Unread):
                self._broken = True
                yield from self._close()
                self._broken = True  # The order that follows may have begun with it.
                yield row
                continue
            key = self._key_of(Unit(row.line, row.end, row.line, row.cells))
            if self._open and key == self._key and key is not None:
                self._open.append(row)
                if len(self._open) > LONGEST:
                    self._open[LONGEST - 1 :] = [row]  # It is refused: only its end matters.
                    self._too_long = True
                continue
            yield from self._close()
            self._open, self._key = [row], key
        yield from self._close()

    _too_long = False

    def _close(self) -> Iterator[Unit | Unread]:
        if not self._open:
            return
        rows, self._open = self._open, []
        first, last = rows[0], rows[-1]
        fault = self._fault()
        self._broken = self._too_long = False
        if fault is not None:
            yield Unread(first.line, last.end, fault)
            return
        lines = [row.cells for row in rows]
        yield Unit(first.line, last.end, last.line, _joined(lines), lines, self._key)

    def _fault(self) -> Fault | None:
        if self._key is None or self._key == "":
            return Fault("missing_group", "The column of `group_by` is empty.")
        if not self._seen.add(str(self._key)):
            detail = "Its rows are not next to one another: sort the file by this column."
            return Fault("group_split", detail)
        if self._too_long:
            return Fault("group_too_long", f"More than {LONGEST} rows have the same key.")
        if self._broken:
            return Fault("group_incomplete", "A row beside it could not be read.")
        return None


def _joined(lines: list[Cells]) -> Cells:
    """The first row's cells; where they are empty, those of the first row that has any.

    Exports often fill an order's own columns on one of its rows only.
    """
    if len(lines) == 1:
        return lines[0]
    joined = dict(lines[0])
    for line in lines[1:]:
        for name, value in line.items():
            if value is not None and joined.get(name) is None:
                joined[name] = value
    return joined
