"""Rows that are events in Segment's form already, as its archives hold them: pure."""

from typing import Any

from schemas.validation import Fault

_OURS = ("writeKey", "receivedAt", "sentAt", "originalTimestamp", "_metadata")
"""What was true of the first transport only."""


def taken(cells: dict[str, Any]) -> dict[str, Any] | Fault:
    """The event as it is to be sent again: with its corrected time, or the best there is.

    Codes: missing_timestamp.
    """
    times = (cells.get(name) for name in ("timestamp", "originalTimestamp", "receivedAt"))
    timestamp = next((at for at in times if at is not None), None)
    if timestamp is None:
        return Fault("missing_timestamp", "The event has no timestamp: when did it happen?")
    return {k: v for k, v in cells.items() if k not in _OURS} | {"timestamp": timestamp}
