"""A condition on an event's properties in its one spelling: what means the same is the same.

Of segments and of computed traits alike, so that both name one aggregate by one key.
"""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.messages import PropertyCondition

_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


def spelled(condition: PropertyCondition) -> PropertyCondition:
    """Numbers as short as they can be (10.0 is 10), ``exists`` true if nothing is said, and a
    list to choose from sorted and distinct: its order means nothing."""
    value = condition.value
    if isinstance(value, list | tuple):
        values = list(map(_number, value))
        if condition.op == "in":
            by_text = {_encode(one): one for one in values}
            values = [by_text[said] for said in sorted(by_text)]
        return replace(condition, value=values)
    if condition.op == "exists" and value is True:
        return replace(condition, value=None)
    return replace(condition, value=_number(value))


def _number(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else value.normalize()
    return int(value) if isinstance(value, float) and value.is_integer() else value
