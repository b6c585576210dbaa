"""JMESPath: where in a provider's JSON something stands, or what an event should have been. Pure.

Nothing that a person wrote is ever run as code: an expression selects, and is bounded in
length and in what it may multiply. Numbers stay exact decimals; ``shift`` moves their point,
as providers who count in cents need it.
"""

import json
from decimal import Decimal
from functools import lru_cache
from math import prod
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from jmespath.parser import ParsedResult

from schemas.validation import Fault, amount

LONGEST = 400
"""Characters of an expression."""
_GROWTH = 64
"""How often an expression may repeat what it is given (``[@, @]`` twice)."""
LARGEST = 5_000
"""Values in a result."""
_FURTHEST = 12
_MULTIPLY = ("join", "map")
"""Functions whose result may be as large as what they are given, multiplied."""
_JSON = (dict, list, str, bool, int, float, Decimal, type(None))


class _Exact(Functions):
    """JMESPath's functions for decimals, which its own take for no numbers."""

    def _get_allowed_pytypes(self, types: Any) -> Any:
        allowed, within = super()._get_allowed_pytypes(types)  # type: ignore[misc]
        found = [*allowed, "Decimal"] if "float" in allowed else allowed
        return found, [(*one, "Decimal") if "float" in one else one for one in within]

    @signature({"types": []})
    def _func_to_number(self, value: Any) -> Any:
        return amount(value)

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> Any:
        if value is None:
            return None  # JMESPath says "null", which would become somebody's id
        if isinstance(value, Decimal):
            return format(value, "f")
        return super()._func_to_string(value)  # type: ignore[misc]

    @signature({"types": ["number", "null"]}, {"types": ["number"]})
    def _func_shift(self, value: Any, places: Any) -> Any:
        """``shift(1250, `-2`)`` is 12.50."""
        exact = amount(value)
        if exact is None or places != int(places) or abs(places) > _FURTHEST:
            return None
        return exact.scaleb(int(places))


_OPTIONS = jmespath.Options(custom_functions=_Exact())


@lru_cache(maxsize=2_000)
def compiled(text: str, longest: int = LONGEST) -> ParsedResult | Fault:
    """An expression, ready to ``find``; or why it is none. Code: bad_expression."""
    if len(text) > longest:
        return Fault("bad_expression", f"An expression has at most {longest:,} characters.")
    try:
        parsed = jmespath.compile(text)
        json.dumps(parsed.parsed, ensure_ascii=False).encode()  # a literal may be half an emoji
    except (JMESPathError, ValueError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Fault("bad_expression", f"No JMESPath expression: {line}")
    unknown = _unknown(parsed.parsed)
    if unknown is not None:
        return Fault("bad_expression", f"There is no function {unknown}().")
    if _growth(parsed.parsed) > _GROWTH:
        return Fault("bad_expression", "The expression repeats what it is given too often.")
    return parsed


def find(expression: ParsedResult, said: Any, most: int = LARGEST) -> Any | Fault:
    """What the expression selects, at most so many values; None for nothing.

    Code: expression_failed.
    """
    try:
        found = expression.search(said, options=_OPTIONS)
        size = _size(found, most)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        return Fault("expression_failed", f"{type(error).__name__}: it does not fit this value.")
    if size < 0:
        return Fault("expression_failed", f"It selects more than {most:,} values.")
    return found


def _size(value: Any, left: int) -> int:
    """``left`` less the values in ``value``; it stops below zero. ``TypeError``: no JSON."""
    if not isinstance(value, _JSON):  # `&name` selects a piece of an expression
        raise TypeError
    left -= 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        if left < 0:
            break
        left = _size(one, left)
    return left


def _growth(node: Any) -> int:
    """An upper bound of how often the input stands in the output."""
    kind, children = node["type"], node.get("children", ())
    if kind == "literal":
        return 0
    inner = [_growth(child) for child in children if isinstance(child, dict)]
    behind = prod(max(one, 1) for one in inner)  # each is given what the one before found
    if kind == "function_expression":
        beside = sum(inner) + (behind if node["value"] in _MULTIPLY else 0)
    else:
        beside = sum(inner) if kind.startswith("multi_select") else behind
    return int(min(beside, 10**9))


def _unknown(node: Any) -> str | None:
    if node["type"] == "function_expression" and node["value"] not in _Exact.FUNCTION_TABLE:
        return str(node["value"])
    inner = (_unknown(child) for child in node.get("children", ()) if isinstance(child, dict))
    return next((name for name in inner if name is not None), None)
