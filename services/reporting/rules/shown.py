"""From stored sums to what a reader is shown: derived columns, balances, money as text."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from services.reporting.model import Range, Table
from services.reporting.rules.money import day, minute, text

Row = dict[str, Any]
FIRST = "0000"
LAST = "9999-12-31T23:59:59Z"


class BadPeriod(ValueError):
    """A bound that is neither a date nor an RFC 3339 instant with an offset."""


def bound(value: str, table: Table[Any], *, end: bool) -> str:
    """A reader's ``from`` or ``to`` as a period of the table; both ends are included.

    A date stands for its whole UTC day. Raises ``BadPeriod``.
    """
    try:
        if len(value) == 10:
            whole = date.fromisoformat(value).isoformat()
            return f"{whole}T23:59:59Z" if end and table.period == "minute" else whole
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise BadPeriod(value)
        return day(at) if table.period == "day" else minute(at)
    except (ValueError, OverflowError) as error:
        raise BadPeriod(value) from error


def oldest(table: Table[Any], now: datetime) -> str | None:
    """The first minute that a table which forgets still holds whole."""
    if table.keep_hours is None:
        return None
    return minute(datetime.fromtimestamp(now.timestamp() - table.keep_hours * 3_600, UTC))


def shown(table: Table[Any], rows: Iterable[Row], asked: Range) -> list[Row]:
    """The rows as answered: cells in the order of ``table.columns``, money as text.

    ``rows`` are the store's, whole: sums by column name, every measure present. Those of a
    table with a balance reach back to its beginning.
    """
    whole = [dict(row) for row in rows]
    if table.balance is not None:
        whole = _balanced(table, whole, asked)
    return [_cells(table, {**row, **table.derive(row)}) for row in whole]


def csv_cell(column_unit: str, value: Any) -> Any:
    """A cell as a spreadsheet may open it.

    Names come from shop visitors, so text that a spreadsheet would run as a formula gets
    an apostrophe in front (OWASP, CSV injection).
    """
    if column_unit == "text" and isinstance(value, str) and value[:1] in set("=+-@\t\r"):
        return "'" + value
    return "" if value is None else value


def _cells(table: Table[Any], row: Row) -> Row:
    currency = row.get("currency", "")
    return {
        column.name: text(row[column.name], currency)
        if column.unit == "amount" and row[column.name] is not None
        else row[column.name]
        for column in table.columns
    }


def _balanced(table: Table[Any], rows: list[Row], asked: Range) -> list[Row]:
    """Adds the running total, and opens the range for those that did not change in it."""
    assert table.balance is not None
    name, into, out = table.balance
    start = asked.start or FIRST
    sums: dict[tuple[Any, ...], int] = {}
    before: dict[tuple[Any, ...], Row] = {}
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (row[table.period], *_key(table, row))):
        key = _key(table, row)
        sums[key] = sums.get(key, 0) + row[into] - row[out]
        row[name] = sums[key]
        if row[table.period] < start:
            before[key] = row
        else:
            kept.append(row)
    changed = {_key(table, row) for row in kept}
    opening = [
        {**row, table.period: start, into: 0, out: 0}
        for key, row in before.items()
        if key not in changed
    ]
    return sorted(opening + kept, key=lambda row: (row[table.period], *_key(table, row)))


def _key(table: Table[Any], row: Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.keys)
