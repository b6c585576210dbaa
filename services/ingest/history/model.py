"""What an import works with: a mapping as it is written, rows, units, events. Pure."""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from schemas.validation import Fault
from services.ingest.model import Call

Cells = dict[str, Any]
"""A row by column; what is empty is None."""


class Unusable(Exception):
    """The file, the mapping or the server cannot be used as given; the text says what to do."""


class Value(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Where a value comes from (exactly one of the first four), and what is made of it."""

    column: str | None = None
    expr: str | None = None
    """JMESPath over the row."""
    template: str | None = None
    """A text with columns in braces."""
    value: Any | UnsetType = UNSET
    """The same for every row."""
    as_: Literal["text", "number", "integer", "sum", "boolean", "time", "list"] | None = field(
        name="as", default=None
    )
    decimal: Literal[".", ","] | None = None
    thousands: str | None = None
    strip: str = ""
    """Characters taken off both ends of a text, such as a currency's sign."""
    format: str | None = None
    """Of a time: that of ``strptime``, ``iso``, ``unix`` or ``unix_ms``."""
    timezone: str | None = None
    split: str = ","
    """Between the items of a list."""
    map: dict[str, Any] = {}
    """What stands for what; a text that is not in it stays."""
    default: Any = None
    """Where there is nothing."""


Spec = str | Value
"""A column's name or a JMESPath expression; or in long form."""


class EventMapping(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One event that a row (or the rows of an order) becomes."""

    timestamp: Spec
    type: Call = "track"
    event: str | Value | None = None
    """Of a track call; a plain text is the name itself."""
    name: Spec | None = None
    """Of a page or screen."""
    when: str | None = None
    """JMESPath: the event happens only where it holds."""
    id: Spec | tuple[Spec, ...] | None = None
    """What makes the row one of its kind: its messageId is derived from it."""
    message_id: Spec | None = None
    """A messageId that the event had before, taken as it is."""
    user_id: Spec | None = None
    anonymous_id: Spec | None = None
    previous_id: Spec | None = None
    group_id: Spec | None = None
    email: Spec | None = None
    external_ids: dict[str, Spec] = {}
    consent: dict[str, Spec] = {}
    """By channel, as a boolean."""
    properties: dict[str, Spec] = {}
    traits: dict[str, Spec] = {}
    context: dict[str, Spec] = {}
    products: dict[str, Spec] = {}
    """The fields of one product line; one for each of the unit's lines."""


class Mapping(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How the rows of a file become events."""

    format: Literal["csv", "ndjson", "parquet"] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: str = ""
    timezone: str = "UTC"
    """Of times that name none."""
    time_format: str = "iso"
    group_by: Spec | None = None
    """Consecutive rows with the same value are the lines of one order."""
    lines: str | None = None
    """JMESPath: where the lines are, when one row holds them all."""
    when: str | None = None
    """JMESPath: only rows for which it holds."""
    row_number: bool = False
    """Equal rows are different events."""
    segment: bool = False
    """The rows are events in Segment's form already."""
    events: tuple[EventMapping, ...] = ()


class Row(Struct):
    """One row as it was read."""

    line: int
    """In the file, the first being 1; in Parquet, the row."""
    end: int
    """Where the next one begins: bytes of text, or rows."""
    cells: Cells


class Unread(Struct):
    """A row that could not be read."""

    line: int
    end: int
    fault: Fault


class Unit(Struct):
    """What becomes events together: a row, or the rows of an order."""

    line: int
    end: int
    last_line: int
    cells: Cells
    lines: Sequence[Cells] | None = None
    """Of an order; None: the row is the one line."""
    key: Any = None
    """What the rows were grouped by."""
    plain: Cells | None = None
    """``cells`` as JMESPath wants them, once that was asked for."""


class Made(Struct):
    """One event, ready to be sent."""

    line: int
    text: bytes
    message_id: str


class Refusal(Struct, omit_defaults=True):
    """A row or event that is not imported, and why: a line of the file of refusals."""

    line: int
    code: str
    detail: str
    event: str = ""
    message_id: str = ""
