"""ECharts options. Colours are stand-ins: ``assets/console.css`` gives them their light and dark.

Charts are drawn as SVG, whose attributes a style sheet can match; so a change of the theme
needs no new options, and the page asks the server for nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from services.console import words
from services.console.arrivals import Step
from services.console.figures import Bucket, Grain
from services.console.reported import Minute

# Matched by the style sheet: one colour a role.
BAR, BACK, TEXT, LINE, FAINT = "#0b6e01", "#b45301", "#5c6501", "#e4e401", "#f0f001"
SERIES = (BAR, "#3b5b01", "#a16601", "#7a4b01", "#2f7f01", "#8a3b01")

Options = dict[str, Any]

# Each datum carries its own text, so that exact amounts are never printed from floats.
_TIP = "p => (Array.isArray(p) ? p : [p]).find(one => one.data && one.data.tip)?.data.tip || ''"
_SHORT = (
    "v => Math.abs(v) >= 1e6 ? +(v / 1e6).toFixed(2) + 'M' : "
    "Math.abs(v) >= 1e3 ? +(v / 1e3).toFixed(1) + 'k' : +v.toFixed(2)"
)
_STEEP = 20
_WRITING = {"color": TEXT, "fontFamily": "Inter, Segoe UI, system-ui, sans-serif", "fontSize": 12}


def revenue(grain: Grain, made: Sequence[Bucket], currency: str) -> Options:
    """Bars as high as the revenue; their upper part is what was refunded or cancelled.

    Where more was taken back than sold, the rest goes below the line.
    """
    kept, back = [], []
    for one in made:
        sold, taken = _sold(one)
        tip = {"tip": _revenue_tip(one, currency)}
        kept.append({"value": float(max(sold - taken, Decimal(0))), **tip})
        back.append({"value": float(taken if sold >= taken else sold - taken), **tip})
    series = [
        {"name": "Revenue", **_bar(BAR), "stack": "money", "data": kept, "markLine": _gaps(made)},
        {"name": "Refunded or cancelled", **_bar(BACK), "stack": "money", "data": back},
    ]
    return _plot([_label(grain, one) for one in made], series)


def stacked(grain: Grain, series: Mapping[str, Sequence[Bucket]], unit: str) -> Options:
    """Bars of one measure over time, one colour a key."""
    first = next(iter(series.values()), ())
    drawn = []
    for (name, made), colour in zip(series.items(), SERIES, strict=False):
        data = [
            {"value": float(one.values[0]), "tip": _stack_tip(series, place, unit)}
            for place, one in enumerate(made)
        ]
        drawn.append({"name": name, **_bar(colour), "stack": "one", "data": data})
    return _plot([_label(grain, one) for one in first], drawn)


def ranking(names: Sequence[str], values: Sequence[Decimal], unit: str) -> Options:
    """Horizontal bars, in the order given, from the top."""
    data = [
        {"value": float(value), "tip": f"{_safe(name)}<br><b>{words.digits(value)}</b> {unit}"}
        for name, value in zip(names, values, strict=True)
    ]
    options = _plot(list(names), [{"name": unit, **_bar(BAR), "barMaxWidth": 18, "data": data}])
    across, up = options["xAxis"], options["yAxis"]
    across["axisLabel"] |= {"width": 150, "overflow": "truncate", "alignMaxLabel": None}
    options["grid"] |= {"left": 164, "right": 20, "top": 4}
    return options | {"xAxis": up, "yAxis": across | {"inverse": True}}


def pulse(minutes: Sequence[Minute]) -> Options:
    """The last hour, a bar a minute, without axes."""
    data = [
        {
            "value": one.events,
            "tip": f"{one.minute:%H:%M} UTC<br><b>{words.counted(one.events, 'event')}</b>",
        }
        for one in minutes
    ]
    labels = [f"{one.minute:%H:%M}" for one in minutes]
    options = _plot(labels, [{"name": "Events", **_bar(BAR), "barMinHeight": 1, "data": data}])
    options["xAxis"] |= {"axisLabel": {"show": False}}
    options["yAxis"] |= {"show": False, "type": "log" if steep(minutes) else "value"}
    options["grid"] |= {"left": 0, "right": 0, "top": 4, "bottom": 1}
    return options


def traffic(steps: Sequence[Step], *, minutes: bool) -> Options:
    """Events of a source over time: what was accepted, and on top what was refused."""
    taken, refused, labels = [], [], []
    for step in steps:
        labels.append(f"{step.at:%H:%M}")
        when = f"{words.day(step.at)}, {step.at:%H:%M} UTC, one {'minute' if minutes else 'hour'}"
        tip = f"{when}<br><b>{words.count(step.accepted)}</b> accepted"
        tip += f"<br><b>{words.count(step.rejected)}</b> refused" if step.rejected else ""
        taken.append({"value": step.accepted, "tip": tip})
        refused.append({"value": step.rejected, "tip": tip})
    series = [
        {"name": "Accepted", **_bar(BAR), "stack": "events", "data": taken},
        {"name": "Refused", **_bar(BACK), "stack": "events", "data": refused},
    ]
    return _plot(labels, series)


def steep(minutes: Sequence[Minute]) -> bool:
    """Whether one minute so towers above the others that they need a logarithmic scale."""
    busy = sorted(one.events for one in minutes if one.events)
    return bool(busy) and busy[-1] > _STEEP * busy[len(busy) // 2]


def _plot(labels: list[str], series: list[dict[str, Any]]) -> Options:
    return {
        "animation": False,
        "grid": {"left": 46, "right": 6, "top": 26, "bottom": 30, "outerBoundsMode": "none"},
        "tooltip": {
            "trigger": "axis",
            "className": "tip",
            "axisPointer": {"type": "shadow", "shadowStyle": {"color": FAINT, "opacity": 1}},
            ":formatter": _TIP,
            "confine": True,
            "transitionDuration": 0,
        },
        "xAxis": {
            "type": "category",
            "data": labels,
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": LINE}},
            "axisLabel": {**_WRITING, "hideOverlap": True, "margin": 12, "alignMaxLabel": "right"},
        },
        "yAxis": {
            "type": "value",
            "splitNumber": 4,
            "splitLine": {"lineStyle": {"color": LINE}},
            "axisLabel": {**_WRITING, ":formatter": _SHORT},
        },
        "series": series,
    }


def _bar(colour: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "barMaxWidth": 26,
        "barCategoryGap": "28%",
        "itemStyle": {"color": colour, "borderRadius": 2},
        "emphasis": {"disabled": True},
    }


def _gaps(made: Sequence[Bucket]) -> dict[str, Any]:
    """A dashed line where buckets were left out, with how much time that is."""
    data = [
        {"xAxis": place, "label": {"formatter": f"no orders for {_long(one)}"}}
        for place, one in enumerate(made)
        if one.gap
    ]
    return {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": TEXT, "type": [2, 4], "width": 1},
        "label": {**_WRITING, "position": "end", "rotate": 0, "align": "right"},
        "data": data,
    }


def _long(gap: Bucket) -> str:
    days = (gap.last - gap.first + timedelta(days=1)).days
    for name, size in (("year", 365), ("month", 30)):
        if days >= 2 * size:
            return words.counted(days // size, name)
    return words.counted(days, "day")


def _label(grain: Grain, one: Bucket) -> str:
    if one.gap:
        return "…"
    if grain == "day":
        return f"{one.first.day} {one.first:%b}"
    return f"{one.first:%Y}" if grain == "year" else f"{one.first:%b %Y}"


def _sold(one: Bucket) -> tuple[Decimal, Decimal]:
    return (one.values[0], one.values[1]) if len(one.values) > 1 else (Decimal(0), Decimal(0))


def _revenue_tip(one: Bucket, currency: str) -> str:
    if one.gap:
        return f"{words.days(one.first, one.last)}<br>no orders"
    sold, back = _sold(one)
    said = f"{words.days(one.first, one.last)}<br><b>{words.digits(sold)}</b> {_safe(currency)}"
    return f"{said}<br>{words.digits(back)} {_safe(currency)} taken back" if back else said


def _stack_tip(series: Mapping[str, Sequence[Bucket]], place: int, unit: str) -> str:
    when = next(iter(series.values()))[place]
    said = [words.days(when.first, when.last)]
    said += [
        f"{_safe(name)}: <b>{words.digits(made[place].values[0])}</b> {_safe(unit)}"
        for name, made in series.items()
    ]
    return "<br>".join(said)


def _safe(text: str) -> str:
    """Text within a tooltip, which is HTML and may hold what a sender wrote."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
