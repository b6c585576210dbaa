"""The shop at a glance, as of now: it asks again every two seconds and changes only numbers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

from nicegui import ui
from nicegui.element import Element

from services.console import charts, figures, words
from services.console.answers import Amount, Live, Row, Segment, Summary, Table
from services.console.client import Apis, Trouble
from services.console.elements import Text, box, card, chart, empty, link, redraw
from services.console.figures import Span
from services.console.pages.visit import Visit

TITLE = "Overview"
T = TypeVar("T", bound=str)
_SPANS: dict[Span, str] = {"month": "Last 30 days", "year": "12 months", "all": "All"}
_MEASURES = ("revenue", "refunds", "cancellations")
_STATES = ("decided", "sent", "delivered", "opened", "clicked", "skipped", "failed", "bounced")
_ROWS = 50_000
_GRAINS = {"day": "by day", "week": "by week", "month": "by month", "year": "by year"}


@dataclass(frozen=True)
class Picture:
    """Everything that the page shows, asked for at one time."""

    at: datetime
    live: Live
    totals: Summary
    sales: Table
    segments: Sequence[Segment]
    messages: Sequence[Row]

    @property
    def today(self) -> date:
        return self.at.date()


async def look(apis: Apis) -> Picture:
    """One picture; Trouble when an API gives no answer."""
    at = datetime.now(UTC)
    live, totals, sales, segments, messages = await asyncio.gather(
        apis.reports.live(),
        apis.reports.summary(),
        apis.reports.table("revenue_by_day", limit=_ROWS),
        apis.segments.segments(),
        apis.reports.table("message_funnel", start=at.date().isoformat()),
    )
    return Picture(at, live, totals, sales, segments, messages.rows)


async def build(visit: Visit) -> None:
    """The page; nothing of it is drawn before there is an answer."""
    with box("div", "head"):
        Text("h1", TITLE)
        as_of = Text("p", "", "note as-of")
    trouble = Text("div", "", "banner", role="status")
    trouble.visible = False
    picture = await look(visit.apis)
    parts: list[_Part] = []
    if not picture.totals.people:
        empty(
            "No events yet.",
            "Send the first one to ingest, or run `regulars demo`. This page fills by itself.",
        )
    with box("div", "tiles"):
        parts.append(_Tiles(picture))
    with box("div", "wide-and-narrow"):
        parts.append(_Sales(picture))
        with box("div", "column"):
            parts.append(_Pulse(picture))
            parts.append(_Messages(picture))
    with box("div", "halves"):
        parts.append(_Sizes(picture))
        parts.append(_Happening(picture))

    def show(picture: Picture) -> None:
        as_of.set_text(f"As of {words.clock(picture.at)}, {words.day(picture.at)}")
        for part in parts:
            part.show(picture)

    async def refresh() -> None:
        try:
            picture = await look(visit.apis)
        except Trouble as why:
            trouble.set_text(f"{why.message} The numbers below are no longer current.")
            trouble.visible = True
        else:
            trouble.visible = False
            show(picture)

    show(picture)
    ui.timer(visit.settings.console_refresh_seconds, refresh, immediate=False)


class _Part:
    """A part of the page, which shows one picture after the other."""

    def show(self, picture: Picture) -> None:
        raise NotImplementedError


class _Tiles(_Part):
    """The four numbers at the top."""

    def __init__(self, picture: Picture) -> None:
        order = figures.currencies(picture.sales.rows)
        self._currencies = {currency: place for place, currency in enumerate(order)}
        self._revenue = _Tile("Revenue", "Net of refunds and cancellations, of all time")
        self._orders = _Tile("Orders", "Of all time, cancelled ones included")
        self._customers = _Tile("Customers", "People with at least one order")
        self._average = _Tile("Average order value", "Revenue / orders")

    def show(self, picture: Picture) -> None:
        totals, live = picture.totals, picture.live
        today = self._sorted(live.revenue_today)
        self._revenue.show(
            self._sorted(totals.net_revenue),
            [f"today {words.moneys(today)}" if today else "none today"],
        )
        cancelled = f"{words.count(totals.cancelled_orders)} cancelled"
        self._orders.show(totals.orders, [f"{words.count(live.orders_today)} today", cancelled])
        new = f"{words.count(live.new_customers_today)} new today"
        self._customers.show(
            totals.customers, [new, f"of {words.counted(totals.people, 'person', 'people')}"]
        )
        self._average.show(self._sorted(totals.average_order_value), ["of all time"])

    def _sorted(self, amounts: Sequence[Amount]) -> list[Amount]:
        """The currency with the most orders first."""
        last = len(self._currencies)
        return sorted(
            amounts, key=lambda one: (self._currencies.get(one.currency, last), one.currency)
        )


class _Tile:
    """One number, or one amount a currency, with what belongs to it."""

    def __init__(self, name: str, hint: str) -> None:
        with box("section", "tile", title=hint):
            Text("h2", name)
            with box("p", "figure"):
                self._figure = Text("span", "")
                self._unit = Text("span", "", "unit")
            self._others = Text("p", "", "others")
            self._notes = Text("p", "", "note")

    def show(self, value: int | Sequence[Amount], notes: Sequence[str]) -> None:
        if isinstance(value, int):
            self._figure.set_text(words.count(value))
        else:
            self._figure.set_text(words.digits(value[0].amount) if value else words.NOTHING)
            self._unit.set_text(value[0].currency if value else "")
            self._others.set_text(words.moneys(value[1:]) if value[1:] else "")
        self._others.visible = bool(self._others.text)
        self._notes.set_text(" · ".join(notes))


class _Sales(_Part):
    """The revenue chart, of one currency and span at a time."""

    def __init__(self, picture: Picture) -> None:
        known = figures.currencies(picture.sales.rows)
        self._picture = picture
        self._currency = known[0] if known else ""
        self._span = figures.best_span(self._points(), picture.today)
        with card("Revenue", "sales"):
            self._note = Text("p", "", "note")
            with box("div", "choices"):
                _choice("Time span", _SPANS, self._span, self._choose_span)
                if len(known) > 1:
                    names = {one: one for one in known[:6]}
                    _choice("Currency", names, self._currency, self._choose_currency)
            options = charts.revenue("day", [], self._currency)
            self._chart = chart(options, "Revenue over time, as bars", "tall")
            with box("p", "note links"):
                link("The figures as a table", "/reports/revenue_by_day")
                link("CSV", "/reports/revenue_by_day.csv", download="")
        self._drawn: object = None

    def show(self, picture: Picture) -> None:
        self._picture = picture
        points = self._points()
        first, last = figures.window(self._span, points, picture.today)
        squeeze = self._span == "all"
        grain, made = figures.buckets(points, first, last, squeeze)
        drawn = (grain, tuple(made))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        redraw(self._chart, charts.revenue(grain, made, self._currency))
        self._note.set_text(
            f"{self._currency or 'No currency yet'}, {_GRAINS[grain]}, in UTC: "
            f"{words.day(first)} to {words.day(last)}. Refunds and cancellations below the line."
        )

    def _points(self) -> dict[date, figures.Values]:
        rows = self._picture.sales.rows
        return figures.taken_back(figures.by_day(rows, _MEASURES, currency=self._currency))

    def _choose_span(self, span: Span) -> None:
        self._span = span
        self.show(self._picture)

    def _choose_currency(self, currency: str) -> None:
        self._currency = currency
        self.show(self._picture)


class _Pulse(_Part):
    """Events a minute in the last hour."""

    def __init__(self, picture: Picture) -> None:
        with card("Events per minute", "pulse"):
            with box("p", "figure"):
                self._figure = Text("span", "")
                self._unit = Text("span", "in the last full minute", "unit")
            self._chart = chart(charts.pulse([]), "Events in each of the last 60 minutes", "low")
            with box("p", "note ends"):
                self._from = Text("span", "")
                self._to = Text("span", "")
        self._drawn: object = None

    def show(self, picture: Picture) -> None:
        minutes = picture.live.minutes
        if minutes == self._drawn or not minutes:
            return
        self._drawn = minutes
        self._figure.set_text(words.count(minutes[-2 if len(minutes) > 1 else -1].events))
        self._from.set_text(f"{minutes[0].minute:%H:%M} UTC")
        self._to.set_text("now")
        redraw(self._chart, charts.pulse(minutes))


class _Messages(_Part):
    """What became of today's messages."""

    def __init__(self, picture: Picture) -> None:
        with card("Messages today"), box("dl", "counts"):
            self._counts = {}
            for state in _STATES:
                with box("div"):
                    Text("dt", words.sentence(state))
                    self._counts[state] = Text("dd", "")

    def show(self, picture: Picture) -> None:
        for state, shown in self._counts.items():
            total = sum(int(row.get(state) or 0) for row in picture.messages)
            shown.set_text(words.count(total))


class _Ranked(_Part):
    """Names with counts and bars; rebuilt only when other names come in."""

    def __init__(self, title: str, note: str, nothing: tuple[str, str]) -> None:
        self._card = card(title, note=note)
        with self._card:
            self._list: Element = box("ul", "ranked")
        self._nothing = nothing
        self._names: list[tuple[str, str]] | None = None
        self._shown: list[tuple[Text, Element]] = []

    def rank(self, entries: Sequence[tuple[str, str, int]]) -> None:
        """(name, address or "", count), the largest first."""
        names = [(name, href) for name, href, _ in entries]
        if names != self._names:
            self._names = names
            self._rebuild(names)
        most = max((count for _, _, count in entries), default=0) or 1
        for (number, bar), (_, _, count) in zip(self._shown, entries, strict=True):
            number.set_text(words.count(count))
            bar.style(f"width: {100 * count / most:.1f}%")

    def _rebuild(self, names: Sequence[tuple[str, str]]) -> None:
        self._list.clear()
        self._shown = []
        with self._list:
            if not names:
                with box("li"):
                    empty(*self._nothing)
            for name, href in names:
                with box("li"):
                    if href:
                        link(name, href)
                    else:
                        Text("span", name)
                    number = Text("span", "", "number")
                    with box("span", "track", aria_hidden="true"):
                        self._shown.append((number, box("span", "fill")))


class _Sizes(_Ranked):
    """How many people are in each segment."""

    def __init__(self, picture: Picture) -> None:
        hint = "Define one: PUT /v1/segments/{key} of the segmentation API."
        super().__init__("Segments", "People in each, now", ("No segments are defined.", hint))

    def show(self, picture: Picture) -> None:
        largest = sorted(picture.segments, key=lambda one: (-one.members, one.key))[:10]
        self.rank([(one.name, f"/segments#{one.key}", one.members) for one in largest])


class _Happening(_Ranked):
    """The most frequent events of the last hour."""

    def __init__(self, picture: Picture) -> None:
        hint = "Events appear here within a second of being accepted."
        super().__init__("Events", "In the last 60 minutes", ("Nothing came in.", hint))

    def show(self, picture: Picture) -> None:
        self.rank([(one.event, "", one.events) for one in picture.live.top_events[:10]])


def _choice(label: str, options: Mapping[T, str], chosen: T, choose: Callable[[T], None]) -> None:
    """Buttons of which one is pressed."""
    buttons: dict[T, Text] = {}

    def press(option: T) -> None:
        for one, button in buttons.items():
            button.props["aria-pressed"] = "true" if one == option else "false"
        choose(option)

    with box("div", "choice", role="group", aria_label=label):
        for option, name in options.items():
            button = Text("button", name, type="button")
            button.props["aria-pressed"] = "true" if option == chosen else "false"
            button.on("click", lambda _, option=option: press(option))
            buttons[option] = button
