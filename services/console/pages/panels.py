"""The panels of the overview: each draws itself once and then shows one picture after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar

from services.console import charts, figures, words
from services.console.answers import Amount, Segment
from services.console.client import Trouble
from services.console.elements import Text, box, card, chart, link, redraw
from services.console.figures import Span
from services.console.reported import Live, Row, Summary

T = TypeVar("T", bound=str)
_SPANS: dict[Span, str] = {"month": "Last 30 days", "year": "12 months", "all": "All"}
_GRAINS = {"day": "by day", "week": "by week", "month": "by month", "year": "by year"}
_MEASURES = ("revenue", "refunds", "cancellations")
_CURRENCIES = 6


@dataclass(frozen=True)
class Picture:
    """Everything that the page shows, asked for at one time."""

    at: datetime
    live: Live
    totals: Summary
    sales: Sequence[Row]
    """Of revenue_by_day, all days."""
    messages: Sequence[Row]
    """Of message_funnel, today."""
    segments: Sequence[Segment] | Trouble

    @property
    def today(self) -> date:
        return self.at.date()


class Panel(Protocol):
    """A part of the page, which shows one picture after the other."""

    def show(self, picture: Picture) -> None:
        """Show this one from now on."""


class Tiles(Panel):
    """The four numbers at the top."""

    def __init__(self, picture: Picture) -> None:
        order = figures.currencies(picture.sales)
        self._currencies = {currency: place for place, currency in enumerate(order)}
        self._revenue = _Tile("Net revenue", "Revenue less refunds and cancellations, of all time")
        self._orders = _Tile("Orders", "Of all time, cancelled ones included")
        self._customers = _Tile("Customers", "People with at least one order")
        self._average = _Tile("Average order value", "Revenue / orders")

    def show(self, picture: Picture) -> None:
        totals, live = picture.totals, picture.live
        today = self._sorted(live.revenue_today)
        self._revenue.show(
            self._sorted(totals.net_revenue),
            [f"Today {words.moneys(today)}" if today else "None today"],
        )
        cancelled = f"{words.count(totals.cancelled_orders)} cancelled"
        self._orders.show(totals.orders, [f"{words.count(live.orders_today)} today", cancelled])
        new = f"{words.count(live.new_customers_today)} new today"
        self._customers.show(
            totals.customers, [new, f"of {words.counted(totals.people, 'person', 'people')}"]
        )
        self._average.show(
            self._sorted(totals.average_order_value), ["Revenue / orders, of all time"]
        )

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


class Sales(Panel):
    """The revenue chart, of one currency and time span at a time."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._known: set[str] = set()
        self._currency = ""
        self._span: Span = "all"
        self._drawn: object = None
        with card("Revenue", "sales"):
            self._note = Text("p", "", "note")
            self._choices = box("div", "choices")
            options = charts.revenue("day", [], "")
            self._chart = chart(options, "Revenue over time, as bars", "tall")
            with box("p", "note links"):
                link("The figures as a table", "/reports/revenue_by_day")
                link("CSV", "/reports/revenue_by_day.csv", download="")

    def show(self, picture: Picture) -> None:
        self._picture = picture
        known = figures.currencies(picture.sales)
        if set(known) != self._known or self._drawn is None:
            self._offer(known)
        self._draw()

    def _offer(self, known: list[str]) -> None:
        """Let people choose; a first currency also decides which time span is worth seeing."""
        self._known = set(known)
        if self._currency not in known:
            self._currency = known[0] if known else ""
            self._span = figures.best_span(self._points(), self._picture.today)
        self._choices.clear()
        with self._choices:
            _choice("Time span", _SPANS, self._span, self._choose_span)
            if len(known) > 1:
                names = {one: one for one in known[:_CURRENCIES]}
                _choice("Currency", names, self._currency, self._choose_currency)

    def _draw(self) -> None:
        points = self._points()
        first, last = figures.window(self._span, points, self._picture.today)
        grain, made = figures.buckets(points, first, last, squeeze=self._span == "all")
        if (self._currency, grain, made) == self._drawn:
            return
        self._drawn = (self._currency, grain, made)
        redraw(self._chart, charts.revenue(grain, made, self._currency))
        self._note.set_text(
            f"{self._currency}, {_GRAINS[grain]}, in UTC: {words.days(first, last)}. "
            "What was refunded or cancelled is orange."
            if self._currency
            else "No orders yet."
        )

    def _points(self) -> dict[date, figures.Values]:
        rows = self._picture.sales
        return figures.taken_back(figures.by_day(rows, _MEASURES, currency=self._currency))

    def _choose_span(self, span: Span) -> None:
        self._span = span
        self._draw()

    def _choose_currency(self, currency: str) -> None:
        self._currency = currency
        self._draw()


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
