"""What was refused: how much, why, from whom; and the events themselves, the latest first."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from services.console import charts, figures, words
from services.console.acting import Notice, button
from services.console.answers import Page
from services.console.client import Trouble
from services.console.elements import (
    Cell,
    Column,
    Link,
    Pill,
    Text,
    box,
    card,
    chart,
    empty,
    link,
    redraw,
    table,
)
from services.console.pages.visit import Visit
from services.console.refused import Rejection, RejectionCount, RejectionCounts
from services.console.reported import Row

TITLE = "Rejected events"
PAGE = 25
DAYS = 30
TONES = {
    "open": "bad",
    "edited": "wait",
    "replaying": "wait",
    "replayed": "good",
    "dismissed": "plain",
    "erased": "plain",
}
_OPEN = ("", "open", "edited")
_FIELDS = (("source", "Source"), ("reason", "Reason"), ("text", "Name or message id"))
_COLUMNS = (
    Column("Event"),
    Column("Reason"),
    Column("Source"),
    Column("Refused (UTC)", whole=True),
    Column("State"),
)


async def build(visit: Visit) -> None:
    """``source``, ``reason``, ``text``, ``state``: what to show; ``cursor``: of the page before."""
    wanted = {name: visit.query.get(name, "").strip()[:200] for name, _ in _FIELDS}
    state = visit.query.get("state", "")
    state = state if state in TONES else ""
    cursor = visit.query.get("cursor", "")[:2_000]
    start = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
    counts, found = await asyncio.gather(
        visit.apis.rejections.counts(start.isoformat()),
        visit.apis.rejections.list(PAGE, cursor, state=[state] if state else [], **wanted),
    )
    Text("h1", TITLE)
    _summary(counts)
    if counts.items:
        _Chart(counts.items, start)
    _filter(wanted, state)
    if found.items and any(wanted.values()) and state in _OPEN:
        _Dismissal(visit, {name: value for name, value in wanted.items() if value}, state)
    _letters(found, {**wanted, "state": state}, cursor)


def _summary(counts: RejectionCounts) -> None:
    waiting = counts.states.get("open", 0) + counts.states.get("edited", 0)
    missing = sum(one.suppressed + one.dropped for one in counts.items)
    said = f"{words.counted(waiting, 'event')} can be repaired and replayed."
    if missing:
        said += f" {words.count(missing)} more were only counted: their source sent too many."
    Text("p", said, "lead")


class _Chart:
    """Refusals by day, one colour a reason or a source."""

    def __init__(self, items: Sequence[RejectionCount], first: date) -> None:
        self._rows = [_figures(one) for one in items]
        self._first = first
        with card("Refused by day", note=f"The last {DAYS} days, in UTC"):
            with box("div", "choices"), box("div", "choice", role="group", aria_label="By"):
                self._buttons = {
                    key: Text("button", name, type="button").on(
                        "click", lambda key=key: self._draw(key)
                    )
                    for key, name in (("reason", "By reason"), ("source", "By source"))
                }
            self._chart = chart({}, "Refused events by day, as bars")
            self._legend = box("ul", "legend")
        self._draw("reason")

    def _draw(self, key: str) -> None:
        for name, choice in self._buttons.items():
            choice.props["aria-pressed"] = "true" if name == key else "false"
            choice.update()
        totals = Counter[str]()
        for row in self._rows:
            totals[str(row[key])] += int(row["refused"] or 0)
        names = [name for name, _ in totals.most_common(len(charts.SERIES))]
        last = self._first + timedelta(days=DAYS - 1)
        series = {}
        for name in names:
            points: dict[date, figures.Values] = dict.fromkeys((self._first, last), (Decimal(0),))
            points |= figures.by_day(self._rows, ["refused"], **{key: name})
            _, series[name] = figures.buckets(points, self._first, last)
        redraw(self._chart, charts.stacked("day", series, "events"))
        self._legend.clear()
        with self._legend:
            for place, name in enumerate(names):
                Text("li", f"{name}: {words.count(totals[name])}", f"series-{place}")


def _figures(one: RejectionCount) -> Row:
    refused = one.stored + one.suppressed
    return {
        "day": one.day,
        "source": one.source,
        "reason": words.code(one.reason),
        "refused": refused,
    }


def _filter(wanted: Mapping[str, str], state: str) -> None:
    with box("form", "range", method="get", action="/rejected", role="search"):
        for name, label in _FIELDS:
            with box("div", "field"):
                Text("label", label, for_=name)
                kind = "search" if name == "text" else "text"
                box("input", type=kind, name=name, id=name, value=wanted[name], maxlength="200")
        with box("div", "field"):
            Text("label", "State", for_="state")
            with box("select", name="state", id="state"):
                for one in ("", *TONES):
                    option = Text("option", words.sentence(one) or "Any", value=one)
                    if one == state:
                        option.props["selected"] = "selected"
        Text("button", "Show", "button primary", type="submit")
        if state or any(wanted.values()):
            link("Show all", "/rejected", "button")


class _Dismissal:
    """Dismisses all that the filter finds, after saying how many they are."""

    def __init__(self, visit: Visit, wanted: Mapping[str, str], state: str) -> None:
        self._apis = visit.apis
        self._wanted: dict[str, str | Sequence[str]] = {**wanted, "state": [state] if state else []}
        self._notice = Notice()
        self._place = box("div", "choices")
        with self._place:
            button("Dismiss all of these", self._ask)

    async def _ask(self) -> None:
        asked = self._apis.rejections.dismiss_all(self._wanted, dry=True)
        number = await self._notice.tried(asked)
        if isinstance(number, Trouble):
            return
        self._place.clear()
        with self._place:
            if not number:
                Text("p", "None of these is open.")
                return
            many = words.counted(number, "event")
            Text("p", f"{many} of all pages would be dismissed; each may still be replayed.")
            button(f"Yes, dismiss {words.count(number)}", self._dismiss, "button danger")

    async def _dismiss(self) -> None:
        number = await self._notice.tried(self._apis.rejections.dismiss_all(self._wanted))
        if not isinstance(number, Trouble):
            self._place.clear()
            many = words.counted(number, "event")
            self._notice.say(f"{many} dismissed. Show anew to see it.", fine=True)


def _letters(found: Page[Rejection], wanted: Mapping[str, str], cursor: str) -> None:
    if not found.items:
        if any(wanted.values()) or cursor:
            empty("Nothing was refused that is like this.", "Show all, or ask for less.")
        else:
            empty("Nothing was refused.", "Every event that came was taken.")
        return
    with box("section", "card flush"):
        table("Rejected events, the latest first", _COLUMNS, map(_row, found.items), "stack")
    given = {name: value for name, value in wanted.items() if value}
    with box("nav", "pager", aria_label="Pages of the list"):
        if cursor:
            link("First page", f"/rejected?{urlencode(given)}", "button")
        if found.next:
            following = urlencode({**given, "cursor": found.next})
            link("Next page", f"/rejected?{following}", "button")


def _row(one: Rejection) -> list[Cell]:
    return [
        Link(name_of(one), f"/rejected/{one.id}"),
        words.code(one.reason),
        one.source,
        words.moment(one.at).removesuffix(" UTC"),
        Pill(words.code(one.state), TONES.get(one.state, "plain")),
    ]


def name_of(one: Rejection) -> str:
    """What to call it: its event's name, else its message id, else that it is unreadable."""
    return one.name or one.message_id or "Unreadable"
