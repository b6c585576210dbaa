"""One report table: its rows in a range of days, a chart where one says something, and CSV."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from nicegui import ui

from services.console import charts, figures, words
from services.console.client import Trouble
from services.console.elements import Column as Shown
from services.console.elements import Text, banner, box, chart, empty, link, table
from services.console.pages.visit import Visit
from services.console.reported import Cell, Column, Row, Table, TableInfo

TITLE = "Report"
_LIMIT = 1_000
_SHOWN = 200
_BARS = 10
_NAMES = ("text", "currency code", "day", "minute")
_PRESETS = (("Last 30 days", 30), ("Last 12 months", 365), ("All", 0))


async def build(visit: Visit) -> None:
    """``from``, ``to``: UTC days, included; nothing: everything that is kept."""
    name = str(visit.parts["name"])
    info = next((one for one in await visit.apis.reports.tables() if one.name == name), None)
    if info is None:
        raise Trouble("There is no report of this name.", 404)
    ui.page_title(f"{info.title} · Regulars")
    with box("div", "title"):
        link("All reports", "/reports", "back")
        Text("h1", info.title)
        Text("p", info.description, "lead")
    start, to = (_day(visit.query.get(bound, "")) for bound in ("from", "to"))
    _range(name, start, to)
    if start and to and start > to:
        banner("The first day lies after the last one.")
        return
    found = await visit.apis.reports.table(name, start, to, _LIMIT)
    if not found.rows:
        empty("No rows in these days.", "Choose other days, or All.")
        return
    _chart(info, found)
    _rows(info, found)


def _day(text: str) -> str:
    """An ISO day as it was given; anything else counts as not given."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def _range(name: str, start: str, to: str) -> None:
    today = datetime.now(UTC).date()
    with box("form", "range", method="get", action=f"/reports/{name}"):
        for label, field, value in (("From", "from", start), ("To", "to", to)):
            with box("div", "field"):
                Text("label", f"{label} (UTC day)", for_=field)
                box("input", type="date", name=field, id=field, value=value)
        Text("button", "Show", "button primary", type="submit")
        with box("div", "choice links", role="group", aria_label="Ranges"):
            for label, days in _PRESETS:
                first = (today - timedelta(days=days - 1)).isoformat() if days else ""
                query = f"?{urlencode({'from': first, 'to': today.isoformat()})}" if days else ""
                entry = link(label, f"/reports/{name}{query}")
                if first == start and to == (today.isoformat() if days else ""):
                    entry.props["aria-current"] = "true"
        query = urlencode({key: value for key, value in (("from", start), ("to", to)) if value})
        link("Download CSV", f"/reports/{name}.csv?{query}", "button", download="")


# -- chart -----------------------------------------------------------------------------------


def _chart(info: TableInfo, found: Table) -> None:
    measures = [column for column in info.columns if column.unit not in _NAMES]
    keys = [column for column in info.columns if column.unit == "text"]
    by_day = any(column.unit == "day" for column in info.columns)
    if not measures or info.columns[0].unit == "minute":
        return
    if by_day and any(column.unit == "amount" for column in measures):
        _money_chart(found.rows)
    elif by_day:
        _time_chart(found.rows, keys[0].name if keys else "", _charted(info, measures))
    elif measures[0].unit != "amount":  # amounts of several currencies do not compare
        _ranking(found.rows, keys or list(info.columns[:1]), measures[0])


def _charted(info: TableInfo, measures: Sequence[Column]) -> Column:
    """The measure to draw: a size before what changed it."""
    return next((one for one in measures if one.name == "size"), measures[0])


def _money_chart(rows: Sequence[Row]) -> None:
    """One currency: the one with the most orders."""
    currency = figures.currencies(rows)[0]
    columns = ("revenue", "refunds", "cancellations")
    points = figures.taken_back(figures.by_day(rows, columns, currency=currency))
    first, last = figures.window("all", points, date.min)
    grain, made = figures.buckets(points, first, last, squeeze=True)
    with box("section", "card"):
        chart(charts.revenue(grain, made, currency), "Revenue over time, as bars", "tall")
        Text(
            "p",
            f"Revenue in {currency}, by {grain}. What was refunded or cancelled is orange.",
            "note",
        )


def _time_chart(rows: Sequence[Row], key: str, measure: Column) -> None:
    """One colour for each of the six most frequent keys; a size is not added up over days."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[str(row.get(key) or measure.title)] += Decimal(row.get(measure.name) or 0)
    names = sorted(totals, key=lambda name: (-totals[name], name))[: len(charts.SERIES)]
    all_days = figures.by_day(rows, [measure.name])
    first, last = figures.window("all", all_days, date.min)
    if measure.name == "size" or not any(any(values) for values in all_days.values()):
        return
    series = {}
    grain: figures.Grain = "day"
    for name in names:
        only = {key: name} if key else {}
        points: dict[date, figures.Values] = dict.fromkeys((first, last), (Decimal(0),))
        points |= figures.by_day(rows, [measure.name], **only)
        grain, series[name] = figures.buckets(points, first, last)
    with box("section", "card"):
        said = f"{measure.title} over time, as bars"
        chart(charts.stacked(grain, series, measure.unit), said, "tall")
        with box("ul", "legend"):
            for place, name in enumerate(names):
                Text("li", name, f"series-{place}")


def _ranking(rows: Sequence[Row], keys: Sequence[Column], measure: Column) -> None:
    top = rows[:_BARS]
    names = [
        " · ".join(words.code(str(row.get(key.name))) for key in reversed(keys)) for row in top
    ]
    values = [Decimal(row.get(measure.name) or 0) for row in top]
    if not any(values):
        return
    with box("section", "card"):
        said = f"{measure.title}, the largest first, as bars"
        element = chart(charts.ranking(names, values, measure.unit), said)
        element.style(f"height: {len(top) * 34 + 40}px")
        Text("p", f"{measure.title}, the first {len(top)}", "note")


# -- rows ------------------------------------------------------------------------------------


def _rows(info: TableInfo, found: Table) -> None:
    by_time = info.columns[0].unit in ("day", "minute")
    rows = list(reversed(found.rows)) if by_time else found.rows
    shown = rows[:_SHOWN]
    columns = [
        Shown(column.title, column.unit not in _NAMES, hint=column.description, whole=True)
        for column in info.columns
    ]
    with box("section", "card flush"):
        cells = ([_cell(column, row.get(column.name)) for column in info.columns] for row in shown)
        table(info.title, columns, cells)
    said = words.counted(len(shown), "row")
    if found.truncated or len(rows) > len(shown):
        said = f"The {'latest' if by_time else 'first'} {said}. The CSV file holds up to 50,000"
    if found.fresh_at is not None:
        said += f". Last counted {words.clock(found.fresh_at)}, {words.day(found.fresh_at)}"
    Text("p", f"{said}.", "note")


def _cell(column: Column, value: Cell) -> str:
    if value is None:
        return words.NOTHING
    if column.unit == "amount":
        return words.digits(Decimal(value))
    if column.unit == "day":
        return words.day(date.fromisoformat(str(value)))
    if column.unit == "minute":
        return words.moment(datetime.fromisoformat(str(value)))
    if isinstance(value, int):
        return words.count(value)
    return words.code(value) if column.name in ("state", "reason") else value
