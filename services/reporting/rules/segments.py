"""``segment_sizes``: who came into and left each segment, and how many are in it."""

from collections.abc import Iterator

from schemas.messages import SegmentChanged
from services.reporting.model import Cells, Column, Table
from services.reporting.rules.money import day


def contribution(
    change: SegmentChanged,
) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """One entry or one exit, on the day it became true."""
    yield day(change.at), (change.segment,), {change.change: 1}


TABLE: Table[SegmentChanged] = Table(
    name="segment_sizes",
    title="Segment sizes",
    description=(
        "Entries and exits of each segment on each UTC day, and its size at the day's end. "
        "A segment without a change in the asked days has one row, on the first of them."
    ),
    topic="segment.changes",
    keys=(Column("segment", "text", "Segment"),),
    measures=(
        Column("entered", "people", "Entered"),
        Column("exited", "people", "Exited"),
    ),
    derived=(Column("size", "people", "Size", "Members at the end of that day."),),
    contribution=contribution,
    balance=("size", "entered", "exited"),
)
