"""Reading one JSON object field by field, noting precisely what does not fit."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from schemas.messages import MAX_WINDOW
from services.segmentation.model import Problem, micros
from services.segmentation.rules import vocabulary as words
from services.segmentation.rules.vocabulary import Kind

_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


def read_moment(text: str) -> int | None:
    """The instant of an ISO 8601 date or date and time, UTC unless it says otherwise."""
    if len(text) > 40:
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        return micros(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
    except (ValueError, OverflowError):  # the calendar's last day, in a far time zone
        return None


class Fields:
    """One object at ``path``. Every reader notes a problem and answers None when it cannot."""

    def __init__(self, body: Any, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}
        if not isinstance(body, dict):
            self.fail("", "must be an object")

    def fail(self, name: str, message: str) -> None:
        """Note a problem with the field ``name``, or with the object itself."""
        self.problems.append(Problem(f"{self.path}.{name}" if name else self.path, message))

    def only(self, *names: str) -> None:
        """Note every field that is not one of ``names``."""
        for name in self.body:
            if name not in names:
                self.fail(name[:50], f"is unknown; known are {', '.join(names)}")

    def absent(self, name: str, message: str) -> None:
        """Note the field if it is given."""
        if self.body.get(name) is not None:
            self.fail(name, f"does not belong here: {message}")

    def text(self, name: str, *, longest: int, required: bool = True) -> str | None:
        """A string with something in it."""
        value = self.body.get(name)
        if value is None and not required:
            return None
        if not isinstance(value, str):
            self.fail(name, "must be a text" if value is not None else "is required")
            return None
        if required and not value.strip():
            self.fail(name, "must not be empty")
            return None
        if len(value) > longest:
            self.fail(name, f"must have at most {longest} characters")
            return None
        return value

    def choice(self, name: str, known: Sequence[str]) -> str | None:
        """One of ``known``."""
        value = self.body.get(name)
        if isinstance(value, str) and value in known:
            return value
        self.fail(name, f"must be one of {', '.join(known)}")
        return None

    def flag(self, name: str) -> bool | None:
        """True or false; true when it is left out."""
        value = self.body.get(name)
        if value is None:
            return True
        if isinstance(value, bool):
            return value
        self.fail(name, "must be true or false")
        return None

    def number(self, name: str) -> int | Decimal | None:
        """An exact number."""
        value = _number(self.body.get(name))
        if value is None:
            self.fail(name, "must be a number below 10^15")
        return value

    def amount(self, name: str) -> Decimal | None:
        """A number, or an exact decimal in a string, as money is written."""
        value = _amount(self.body.get(name))
        if value is None:
            self.fail(name, 'must be a number such as "100.00"')
        return value

    def count(self, name: str, *, windowed: bool) -> int | None:
        """A whole number; within a window, one that the kept entries can tell."""
        value = self.body.get(name)
        most = MAX_WINDOW - 1 if windowed else words.MAX_NUMBER
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.fail(name, f"must be a whole number from 0 to {most}")
            return None
        return value

    def seconds(self, name: str, *, required: bool = True) -> int | None:
        """A duration."""
        value = self.body.get(name)
        if value is None and not required:
            return None
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 1 <= value <= words.MAX_SECONDS:  # type: ignore[operator]
            self.fail(name, f"must be whole seconds from 1 to {words.MAX_SECONDS}")
            return None
        return value

    def moment(self, name: str) -> str | None:
        """An ISO 8601 date or date and time, as it was written."""
        value = self.body.get(name)
        if isinstance(value, str) and read_moment(value) is not None:
            return value
        self.fail(name, "must be a date such as 2026-01-31 or 2026-01-31T12:00:00Z")
        return None

    def scalar(self, name: str, kind: Kind) -> Any:
        """A value to compare with a fact of ``kind``."""
        value = _scalar(self.body.get(name), kind)
        if value is None:
            self.fail(name, f"must be {_WANTED[kind]}")
        return value

    def span(self, name: str) -> list[Any] | None:
        """The least and the greatest of some numbers."""
        values = self.body.get(name)
        ends = [_number(value) for value in values] if isinstance(values, list) else []
        if len(ends) != 2 or None in ends:
            self.fail(name, "must be a list of two numbers, the least and the greatest")
            return None
        return ends

    def choices(self, name: str, kind: Kind) -> list[Any] | None:
        """A list of values to compare with a fact of ``kind``."""
        values = self.body.get(name)
        if not isinstance(values, list) or not 1 <= len(values) <= words.MAX_CHOICES:
            self.fail(name, f"must be a list of 1 to {words.MAX_CHOICES} values")
            return None
        found = [_scalar(value, kind) for value in values]
        for index, value in enumerate(found):
            if value is None:
                self.fail(f"{name}[{index}]", f"must be {_WANTED[kind]}")
                return None
        return found


_WANTED: dict[Kind, str] = {
    "number": "a number below 10^15",
    "money": 'a number such as "100.00"',
    "text": f"a text of at most {words.MAX_TEXT} characters",
    "texts": f"a text of at most {words.MAX_TEXT} characters",
    "trait": f"a number, true, false, or a text of at most {words.MAX_TEXT} characters",
}


def _scalar(value: Any, kind: Kind) -> Any:
    if kind == "money":
        return _amount(value)
    if isinstance(value, str):
        return value if kind != "number" and len(value) <= words.MAX_TEXT else None
    if isinstance(value, bool):
        return value if kind == "trait" else None
    return _number(value) if kind in ("trait", "number") else None


def _number(value: Any) -> int | Decimal | None:
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    return value if -words.MAX_NUMBER < value < words.MAX_NUMBER else None


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, str):
        return Decimal(value) if _AMOUNT.fullmatch(value) else None
    number = _number(value)
    return None if number is None else Decimal(number)
