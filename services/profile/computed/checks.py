"""What a computed trait's definition must be beyond its shape, with the place of what is not."""

from typing import Any

from services.profile.build.rules.values import moment
from services.profile.computed.shapes import ComputedTraitBody, PropertyCondition
from services.runtime.http import Problem

_LARGEST = 10**12
_MOST_CHOICES = 500


def check(body: ComputedTraitBody) -> None:
    """Raises a 422 ``Problem`` for a definition that could not mean anything."""
    if body.aggregate == "count" and body.property is not None:
        raise _unfit("property", "A count takes no property; put it into `where` to filter.")
    if body.aggregate != "count" and body.property is None:
        raise _unfit("property", f"{body.aggregate} needs the property that it is of.")
    for number, condition in enumerate(body.where):
        reason = _misfit(condition)
        if reason:
            raise _unfit(f"where.{number}.value", reason)


def _misfit(condition: PropertyCondition) -> str:
    op, value = condition.op, condition.value
    several = value if isinstance(value, list) else [value]
    for one in several:
        if isinstance(one, (int, float)) and not abs(one) < _LARGEST:  # NaN is not less either
            return "No number as large as that is ever found in an event."
    if op == "in":
        fits = isinstance(value, list) and 1 <= len(value) <= _MOST_CHOICES
        return "" if fits else f"A list of 1 to {_MOST_CHOICES} values is needed."
    if op == "between":
        fits = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
        return "" if fits else "A list of two numbers is needed: the least and the greatest."
    if isinstance(value, list):
        return "One value is needed; use `in` for several."
    if op in ("gt", "gte", "lt", "lte") and not _is_number(value):
        return "A number is needed to compare with."
    if op in ("contains", "starts_with") and not (isinstance(value, str) and value):
        return "A text is needed to look for."
    if op in ("before", "after") and moment(value) is None:
        return "A date is needed, such as 2026-01-31 or 2026-01-31T12:00:00Z."
    if op in ("equals", "not_equals") and value is None:
        return "A value is needed; use `exists` to ask for any."
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unfit(at: str, detail: str) -> Problem:
    errors = [{"at": f"body.{at}", "detail": detail, "code": "unfit"}]
    return Problem(422, "Unprocessable Content", detail, extra={"errors": errors})
