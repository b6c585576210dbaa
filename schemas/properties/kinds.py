"""The kinds of values that properties have. ``tidy`` puts a value in the form of its kind."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

Id = Annotated[str, Meta(extra={"kind": "id"})]
"""A name that a system gives to a thing. Senders may write a whole number."""

Amount = Annotated[Decimal, Meta(extra={"kind": "amount"})]
"""An exact decimal: a JSON number, or a plain decimal in a text such as ``"12.50"``."""

Count = Annotated[int, Meta(extra={"kind": "count"})]
"""A whole number. Senders may write it in a text, or as ``2.0``."""

Currency = Annotated[str, Meta(extra={"kind": "currency"})]
"""An ISO 4217 code in capitals."""

AMOUNT_PATTERN = r"^[+-]?[0-9]{1,12}(\.[0-9]{1,30})?$"
"""Of an amount that is a text."""
