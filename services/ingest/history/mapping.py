"""From a unit (a row, or the rows of an order) to its events, named: pure."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from schemas.validation import EARLIEST, Fault
from services.ingest.history import segment
from services.ingest.history.events import Event
from services.ingest.history.expressions import Columns, condition, expression
from services.ingest.history.identity import Namer
from services.ingest.history.model import Made, Mapping, Refusal, Unit
from services.ingest.history.producing import placed
from services.ingest.rules import parse_instant

Outcome = Made | Refusal

_AHEAD = timedelta(minutes=5)
"""How far the clock of this machine may be behind the shop's."""
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Mapper:
    """Makes the events of one unit after another.

    ``columns`` are those of the file, where it has any, and ``now`` is when it is read:
    nothing of the past happens later. Raises Unusable for a column that is not there.
    """

    def __init__(self, mapping: Mapping, namer: Namer, columns: Columns, now: datetime) -> None:
        self._mapping = mapping
        self._namer = namer
        self._latest = now + _AHEAD
        when, lines = mapping.when, mapping.lines
        self._wanted = when and placed("when", lambda: condition(when or "", columns))
        self._lines = lines and placed("lines", lambda: expression(lines or "", columns))
        several = len(mapping.events) > 1
        self._events = [
            Event(event, mapping, columns, f"events[{index}]" if several else "")
            for index, event in enumerate(mapping.events)
        ]

    @property
    def groups(self) -> bool:
        """Whether a unit is as many rows as it has lines."""
        return self._mapping.group_by is not None

    def make(self, unit: Unit) -> list[Outcome]:
        """The events of ``unit``, or why not; an empty list when none is meant.

        Codes: missing_timestamp, time_out_of_range, missing_row_id, bad_encoding and those
        of ``values``.
        """
        if callable(self._wanted) and not self._wanted(unit):
            return []
        if self._mapping.segment:
            return [self._finished(unit, segment.taken(unit.cells), None)]
        if callable(self._lines):
            found = self._lines(unit)
            found = found if isinstance(found, list) else []
            unit.lines = [line for line in found if isinstance(line, dict)]
        made = []
        for event in self._events:
            said = event.make(unit)
            if said is not None:
                made.append(self._finished(unit, said, event))
        return made

    def _finished(self, unit: Unit, said: dict[str, Any] | Fault, event: Event | None) -> Outcome:
        made = said if isinstance(said, Fault) else self._made(unit, said, event)
        if isinstance(made, Fault):
            return Refusal(unit.line, made.code, made.detail, event.label if event else "")
        return made

    def _made(self, unit: Unit, said: dict[str, Any], event: Event | None) -> Made | Fault:
        fault = self._check_time(said["timestamp"])
        if fault is not None:
            return fault
        try:
            fault = self._name(unit, said, event)
            return fault or Made(unit.line, _encode(said), str(said["messageId"]))
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            return Fault("not_json", f"A value cannot be written as JSON: {error}.")

    def _name(self, unit: Unit, said: dict[str, Any], event: Event | None) -> Fault | None:
        """Give the event its messageId."""
        given = event.given_id(unit) if event else said.get("messageId")
        if isinstance(given, Fault):
            return given
        if given:
            said["messageId"] = given
            return None
        key = event.key(unit) if event else None
        if isinstance(key, Fault):
            return key
        line = unit.line if self._mapping.row_number else None
        said["messageId"] = self._namer.name(said, key, line)
        return None

    def _check_time(self, timestamp: Any) -> Fault | None:
        """Ingest would date it now; in a shop's past that is worse than not to have it."""
        at = parse_instant(timestamp)
        if at is not None and not EARLIEST <= at <= self._latest:
            return Fault("time_out_of_range", f"{at:%Y-%m-%d} is before 1990 or still to come.")
        return None
