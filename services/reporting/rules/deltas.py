"""Adding contributions up: of one subject, and of a whole turn.

A turn's deltas are coalesced here, so that a row which a thousand records touch is
written once. What a person's old and new contribution have in common cancels out.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from services.reporting.model import ALL_TIME, Cells, Contribution, Number, RowId, Table
from services.reporting.rules.money import minus, plus, times

Subject = TypeVar("Subject")

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[tuple[RowId, Cells]])


def contribute(tables: Iterable[Table[Subject]], subject: Subject) -> Contribution:
    """The rows of all ``tables`` that come from ``subject``, all-time totals included."""
    rows: Contribution = {}
    for table in tables:
        for period, key, cells in table.contribution(subject):
            _add(rows, RowId(table.name, period, key), cells)
            if table.keep_hours is None:
                _add(rows, RowId(table.name, ALL_TIME, key), cells)
    return rows


def encode(contribution: Contribution) -> bytes:
    """The stored form of a contribution."""
    return _ENCODER.encode(list(contribution.items()))


def decode(body: bytes) -> Contribution:
    """A stored contribution."""
    return dict(_DECODER.decode(body)) if body else {}


def _add(rows: Contribution, row: RowId, cells: Cells) -> None:
    sums = rows.setdefault(row, {})
    for name, value in cells.items():
        sums[name] = plus(sums.get(name, 0), value)


class Deltas:
    """What one turn changes: ``rows[row, partition]`` holds the cells to add."""

    def __init__(self) -> None:
        self.rows: dict[tuple[RowId, int], Cells] = {}

    def add(self, partition: int, contribution: Contribution, count: int = 1) -> None:
        """Count ``contribution`` in, ``count`` times, in the partition's part of the rows."""
        for row, cells in contribution.items():
            sums = self.rows.setdefault((row, partition), {})
            for name, value in cells.items():
                sums[name] = plus(sums.get(name, 0), value if count == 1 else _scaled(value, count))

    def subtract(self, partition: int, contribution: Contribution) -> None:
        """Take ``contribution`` back out."""
        for row, cells in contribution.items():
            sums = self.rows.setdefault((row, partition), {})
            for name, value in cells.items():
                sums[name] = minus(sums.get(name, 0), value)

    def settle(self) -> dict[tuple[RowId, int], Cells]:
        """The rows that really change, without the cells that cancelled out."""
        settled: dict[tuple[RowId, int], Cells] = {}
        for at, cells in self.rows.items():
            changed = {name: value for name, value in cells.items() if value}
            if changed:
                settled[at] = changed
        return settled


def _scaled(value: Number, count: int) -> Number:
    return value * count if isinstance(value, int) else times(value, count)
