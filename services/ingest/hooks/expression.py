"""JMESPath, by which a source says where in a provider's JSON something stands. Pure.

Nothing that a person wrote is ever run as code: an expression selects, and is bounded in
length and in what it may multiply. Numbers stay exact decimals; ``shift`` moves their point,
as providers who count in cents need it.
"""

from decimal import Decimal
from functools import lru_cache
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
def compiled(text: str) -> ParsedResult | Fault:
    """An expression, ready to ``find``; or why it is none. Code: bad_expression."""
    if len(text) > LONGEST:
        return Fault("bad_expression", f"An expression has at most {LONGEST} characters.")
    try:
        parsed = jmespath.compile(text)
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
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        return Fault("expression_failed", f"{type(error).__name__}: it does not fit this value.")
    if _size(found, most) < 0:
        return Fault("expression_failed", f"It selects more than {most:,} values.")
    return found


def _size(value: Any, left: int) -> int:
    """``left`` less the values in ``value``; it stops below zero."""
    left -= 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        if left < 0:
            break
        left = _size(one, left)
    return left


def _growth(node: Any) -> int:
    """An upper bound of how often the input stands in the output."""
    children = node.get("children", ())
    product = max(len(children), 1) if node["type"].startswith("multi_select") else 1
    for child in children:
        if isinstance(child, dict):
            product = min(product * _growth(child), 10**9)
    return int(product)


def _unknown(node: Any) -> str | None:
    if node["type"] == "function_expression" and node["value"] not in _Exact.FUNCTION_TABLE:
        return str(node["value"])
    inner = (_unknown(child) for child in node.get("children", ()) if isinstance(child, dict))
    return next((name for name in inner if name is not None), None)
