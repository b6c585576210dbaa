"""Numbers, money, times, names and rules as people read them. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from services.console.answers import Amount, Profile

NOTHING = "\u2013"

_HUMP = re.compile(r"(?<=[a-z])[A-Z](?=[a-z])")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_OPERATORS = {
    "equals": "is",
    "not_equals": "is not",
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "in": "is one of",
    "contains": "contains",
    "starts_with": "starts with",
    "exists": "is known",
    "before": "is before",
    "after": "is after",
    "older_than": "is longer ago than",
    "newer_than": "is within the last",
}
_FACTS = {
    "order_count": "number of orders",
    "first_order_at": "first order",
    "last_order_at": "last order",
    "revenue_gross": "revenue before refunds",
}
_DETAILS = ("name", "product", "title", "query", "url", "path", "subject", "campaign", "coupon")


def count(number: int | Decimal) -> str:
    """12,345."""
    return f"{number:,}"


def digits(amount: Decimal) -> str:
    """An exact amount, grouped; a lone decimal gets its second digit."""
    if amount.is_finite() and amount.as_tuple().exponent == -1:
        amount = amount.quantize(Decimal("0.01"))
    return f"{amount:,f}"


def money(amount: Amount) -> str:
    """12,345.60 USD: exact, grouped, with its currency on the same line."""
    return f"{digits(amount.amount)}\u00a0{amount.currency}"


def moneys(amounts: Iterable[Amount]) -> str:
    """Amounts side by side, since currencies are never added."""
    return "\u00a0· ".join(money(amount) for amount in amounts) or NOTHING


def counted(number: int, one: str, many: str = "") -> str:
    """1 order, 2 orders."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def day(when: date | datetime) -> str:
    """22 Nov 2026."""
    if isinstance(when, datetime):
        when = when.astimezone(UTC)
    return f"{when.day} {when:%b %Y}"


def days(first: date, last: date) -> str:
    """1 Jan 1997 to 22 Nov 2026, or the one day that it is."""
    return day(first) if first == last else f"{day(first)} to {day(last)}"


def moment(when: datetime | None) -> str:
    """22 Nov 2026, 06:58 UTC."""
    if when is None:
        return NOTHING
    return f"{day(when)}, {when.astimezone(UTC):%H:%M} UTC"


def clock(when: datetime) -> str:
    """06:58:57 UTC."""
    return f"{when.astimezone(UTC):%H:%M:%S} UTC"


def duration(seconds: int) -> str:
    """7 days; 90 minutes; 45 seconds: in the largest unit that leaves no rest."""
    for name, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return counted(seconds // size, name)
    return counted(seconds, "second")


def code(value: str) -> str:
    """``no_consent_recorded`` as: no consent recorded."""
    return value.replace("_", " ")


def sentence(value: str) -> str:
    """A code with a capital; ``firstName`` as: First name."""
    plain = _HUMP.sub(lambda found: f" {found[0].lower()}", code(value).strip())
    return plain[:1].upper() + plain[1:]


# -- people ----------------------------------------------------------------------------------


def name_of(profile: Profile) -> str:
    """What to call a person: their name, else their email address, user id or profile id."""
    traits = profile.traits
    full = " ".join(
        str(traits[part]) for part in ("firstName", "lastName") if traits.get(part) is not None
    )
    known = traits.get("name") or full or identifier(profile, "email")
    return str(known or identifier(profile, "user_id") or profile.profile_id)


def identifier(profile: Profile, kind: str) -> str:
    """Their first identifier of a kind; empty when there is none."""
    return next((one.value for one in profile.identifiers if one.type == kind), "")


def trait(value: Any) -> str:
    """A trait's value on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {trait(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(trait(part) for part in value)
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return _instant(value)
    return NOTHING if value in (None, "") else str(value)


def _instant(value: str) -> str:
    try:
        return moment(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return value


def detail(event: Mapping[str, Any]) -> str:
    """What a line of the timeline says beside the event's name; empty: nothing stands out."""
    found = event.get("properties")
    properties: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    parts = []
    if properties.get("order_id"):
        parts.append(f"order {properties['order_id']}")
    parts += [str(properties[name]) for name in _DETAILS if properties.get(name)][:1]
    price = next((properties[n] for n in ("revenue", "total", "price") if properties.get(n)), None)
    if price is not None:
        parts.append(f"{price} {properties.get('currency') or ''}".strip())
    if not parts and isinstance(event.get("traits"), Mapping):
        parts.append(", ".join(event["traits"]))
    return " · ".join(part[:80] for part in parts if part)


# -- rules -----------------------------------------------------------------------------------


def rule(tree: Any, depth: int = 0) -> Iterator[tuple[int, str]]:
    """A segment's rule as lines with their depth; what is not known is shown as it is."""
    if not isinstance(tree, Mapping):
        yield depth, str(tree)
    elif "all" in tree or "any" in tree:
        yield depth, "All of these:" if "all" in tree else "Any of these:"
        for part in tree.get("all") or tree.get("any") or ():
            yield from rule(part, depth + 1)
    elif "not" in tree:
        yield depth, "Not:"
        yield from rule(tree["not"], depth + 1)
    else:
        yield depth, condition(tree)


def condition(tree: Mapping[str, Any]) -> str:
    """One condition as a sentence without its full stop."""
    how = _operator(tree)
    if "event" in tree:
        subject = f"number of “{tree['event']}”"
        if tree.get("aggregate") == "sum":
            subject = f"sum of {tree.get('property')} of “{tree['event']}”"
        where = " and ".join(
            f"{part.get('property')} {_operator(part)} {_shown(part.get('value'))}".strip()
            for part in tree.get("where") or ()
        )
        subject += f" where {where}" if where else ""
        window = tree.get("within_seconds")
        subject += f" in the last {_lasting(window)}" if window else ""
    else:
        subject = _subject(tree)
    seconds = tree.get("seconds")
    recent = tree.get("op") == "newer_than"
    within = _lasting if recent else duration
    value = within(seconds) if seconds else _shown(tree.get("value"))
    said = f"{subject} {how} {value} {tree.get('currency') or ''}".strip()
    return said[:1].upper() + said[1:]


def _lasting(seconds: int) -> str:
    """30 days, but hour rather than 1 hour."""
    return duration(seconds).removeprefix("1 ")


def _subject(tree: Mapping[str, Any]) -> str:
    name = str(tree.get("fact") or tree.get("trait"))
    if "fact" not in tree:
        return code(name)
    kind, _, part = name.partition(".")
    if kind == "counters":
        return f"number of “{part}”"
    if kind == "devices":
        return f"device's {part}"
    if part:
        return f"{code(kind)} for {code(part)}"
    return _FACTS.get(name, code(name))


def _operator(tree: Mapping[str, Any]) -> str:
    name = str(tree.get("op"))
    return _OPERATORS.get(name, name)


def _shown(value: Any) -> str:
    return "" if value is None else trait(value)
