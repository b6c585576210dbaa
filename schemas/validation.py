"""Does an event fit? One answer for both doors: ingest's HTTP API and the topics themselves.

Pure functions. Only what would make an event wrong for everyone after is refused: nobody
named, no name, and order events whose money could not be counted. The rest is tolerated.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from schemas.catalogue import (
    ORDER_COMPLETED,
    ORDER_EVENTS,
    ORDER_REFUNDED,
    ORDER_UPDATED,
    canonical,
    key_of,
)
from schemas.currencies import CODES
from schemas.messages import Event

LONGEST_MESSAGE_ID = 99
LONGEST_NAME = 200
DEEPEST = 32
"""Levels of objects and lists in an event, the event itself being the first."""
AMOUNT_LIMIT = Decimal(10) ** 12
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""No shop was on the web before: an earlier time comes from a clock that was never set."""

REFUND_AMOUNTS = ("total", "revenue", "amount")
"""Where a refund says its amount; the first one that is given counts."""
_AMOUNTS = ("total", "revenue", "subtotal", "shipping", "tax")
_SIGNED = ("discount", "amount")
"""Senders disagree on the sign of these."""
_WHOLE_ORDERS = frozenset({ORDER_COMPLETED, ORDER_UPDATED})
"""Events whose ``revenue`` and ``total`` are both of one order."""
_CENT, _NOTHING = Decimal("0.01"), Decimal(0)
_DISAGREE = ("amounts_disagree",)

_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,30})?")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# The closing quote is optional, so that a hostile text cannot make the search start over.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


class Fault(Struct, frozen=True):
    """Why something is refused: a code (a metric label), and a line without personal data."""

    code: str
    detail: str = ""


def check_body(body: bytes, deepest: int = DEEPEST) -> Fault | None:
    """What must be checked on an event's JSON text before anyone decodes it.

    Codes: nul_byte, too_deep.
    """
    # Looking for one byte first costs a tenth of looking for six.
    if b"\\" in body and b"\\u0000" in body and _NUL.search(body):
        return Fault("nul_byte", "A text holds a NUL character.")
    if body.count(b"{") + body.count(b"[") > deepest and _depth(body) > deepest:
        return Fault("too_deep", f"At most {DEEPEST} levels of nesting.")
    return None


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest


def check(event: Event) -> Fault | None:
    """Why ``event`` is refused, or None when it fits.

    Codes: bad_message_id, missing_id, missing_event, name_too_long, missing_previous_id,
    missing_group_id, and for order events those of ``check_order``.
    """
    if not event.message_id.strip() or len(event.message_id) > LONGEST_MESSAGE_ID:
        return Fault("bad_message_id", f"messageId has 1 to {LONGEST_MESSAGE_ID} characters.")
    if key_of(event) is None:
        return Fault("missing_id", "userId or anonymousId is needed, or an email trait.")
    if event.type == "track":
        name = event.event
        if name is None or not name.strip():
            return Fault("missing_event", "A track call needs the name of its event.")
        if len(name) > LONGEST_NAME:
            return Fault("name_too_long", f"A name has at most {LONGEST_NAME} characters.")
        name = canonical(name)
        return check_order(name, event.properties) if name in ORDER_EVENTS else None
    if event.type == "alias" and not (event.previous_id and event.user_id):
        return Fault("missing_previous_id", "An alias call needs previousId and userId.")
    if event.type == "group" and not event.group_id:
        return Fault("missing_group_id", "A group call needs groupId.")
    for name in (event.name, event.category):
        if name is not None and len(name) > LONGEST_NAME:
            return Fault("name_too_long", f"A name has at most {LONGEST_NAME} characters.")
    return None


def check_order(name: str, said: Mapping[str, Any]) -> Fault | None:
    """Why the money of an order event cannot be counted, or None when it can.

    Codes: missing_order_id, unknown_currency, bad_amount, negative_amount, bad_products,
    bad_quantity, negative_quantity, missing_amount, revenue_above_total. Without
    ``currency`` amounts are US dollars, as in Segment's spec. A refund needs one of
    ``REFUND_AMOUNTS`` other than zero, of whichever sign, or product lines with prices.
    """
    if not _is_id(said.get("order_id")):
        return Fault("missing_order_id", f"{name} needs order_id, a text or a whole number.")
    if not _is_currency(said.get("currency")):
        return Fault("unknown_currency", "currency must be an ISO 4217 code.")
    refund = name == ORDER_REFUNDED
    for field in _AMOUNTS:
        fault = _check_amount(field, said.get(field), signed=refund)
        if fault is not None:
            return fault
    for field in _SIGNED:
        fault = _check_amount(field, said.get(field), signed=True)
        if fault is not None:
            return fault
    fault = _check_products(said.get("products"))
    if fault is None and refund and not _refunds_something(said):
        needed = ", ".join(REFUND_AMOUNTS)
        return Fault("missing_amount", f"A refund needs one of {needed}, or lines with prices.")
    return fault or (_impossible(said) if name in _WHOLE_ORDERS else None)


def doubts(name: str, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Flags for an order event that can be counted, but whose amounts contradict each other.

    ``amounts_disagree``: by Segment's spec ``total = revenue + shipping + tax``, and its own
    examples differ in whether ``discount`` is still to be subtracted, so both are right.
    """
    if name not in _WHOLE_ORDERS:
        return ()
    revenue, total = amount(said.get("revenue")), amount(said.get("total"))
    if revenue is None or total is None:
        return ()
    shipping, tax = amount(said.get("shipping")), amount(said.get("tax"))
    most = revenue + (shipping or 0) + (tax or 0)
    least = most - abs(amount(said.get("discount")) or _NOTHING)
    if total < least - _CENT:
        return _DISAGREE
    whole = shipping is not None and tax is not None  # else the rest may be what is not said
    either = abs(total - most) <= _CENT or abs(total - least) <= _CENT
    return _DISAGREE if whole and not either else ()


def _impossible(said: Mapping[str, Any]) -> Fault | None:
    """Goods for more than all that was asked for them: one of the two is not what it says."""
    revenue, total = amount(said.get("revenue")), amount(said.get("total"))
    if revenue is None or total is None or revenue <= total + _CENT:
        return None
    if revenue <= total + abs(amount(said.get("discount")) or _NOTHING) + _CENT:
        return None
    return Fault("revenue_above_total", "revenue may not be more than total and discount together.")


def amount(value: Any) -> Decimal | None:
    """A number, or a plain decimal in a text (``"12.50"``), exactly; None when it is neither.

    Not ``"12,50"``, NaN, infinity, or anything from 10^12 on.
    """
    if isinstance(value, str):
        value = value.strip()
        return Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, Decimal):
        parsed = value
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    else:
        parsed = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return parsed if parsed.is_finite() and parsed.copy_abs() < AMOUNT_LIMIT else None


def clamp(timestamp: datetime, received_at: datetime) -> tuple[datetime, bool]:
    """The event time to believe, and whether it had to be replaced by ``received_at``.

    Nothing happens after it was received, nor before ``EARLIEST``.
    """
    if timestamp > received_at or timestamp < EARLIEST:
        return received_at, True
    return timestamp, False


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and len(value) <= LONGEST_NAME
    return isinstance(value, int) and not isinstance(value, bool)


def _is_currency(code: Any) -> bool:
    if code is None or code == "":
        return True
    return isinstance(code, str) and code.strip().upper() in CODES


def _check_amount(field: str, value: Any, *, signed: bool) -> Fault | None:
    if value is None:
        return None
    parsed = amount(value)
    if parsed is None:
        return Fault("bad_amount", f"{field} must be a number such as 12.50, below 10^12.")
    if parsed < 0 and not signed:
        return Fault("negative_amount", f"{field} must not be negative.")
    return None


def _check_products(products: Any) -> Fault | None:
    if products is None:
        return None
    if not isinstance(products, list):
        return Fault("bad_products", "products must be a list of objects.")
    for index, line in enumerate(products):
        if not isinstance(line, dict):
            return Fault("bad_products", f"products[{index}] must be an object.")
        fault = _check_amount(f"products[{index}].price", line.get("price"), signed=False)
        if fault is None:
            fault = _check_quantity(index, line.get("quantity"))
        if fault is not None:
            return fault
    return None


def _check_quantity(index: int, value: Any) -> Fault | None:
    if value is None:
        return None
    parsed = amount(value)
    if parsed is None or parsed != parsed.to_integral_value():
        return Fault("bad_quantity", f"products[{index}].quantity must be a whole number.")
    if parsed < 0:
        return Fault("negative_quantity", f"products[{index}].quantity must not be negative.")
    return None


def _refunds_something(said: Mapping[str, Any]) -> bool:
    for field in REFUND_AMOUNTS:
        given = amount(said.get(field))
        if given is not None:
            return given != 0
    return any(
        (amount(line.get("price")) or 0) * (_quantity(line)) > 0
        for line in said.get("products") or ()
    )


def _quantity(line: Mapping[str, Any]) -> Decimal:
    given = amount(line.get("quantity"))
    return Decimal(1) if given is None else given
