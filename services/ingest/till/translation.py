"""From a till's sale or return to the event that any shop would send: pure.

A sale is an Order Completed, a return an Order Refunded, of the channel ``store``. The till
and the receipt name it, so that the same upload twice is one event.
"""

import re
from decimal import Decimal
from hashlib import sha256
from typing import Any

from schemas.catalogue import ORDER_COMPLETED, ORDER_REFUNDED
from schemas.validation import Fault, check_body
from services.ingest.hooks.event import context, encode, fitted, message_id, time_of
from services.ingest.rules import decode
from services.ingest.till.sale import Buyer, Line, Sale, read

CHANNEL = "store"
_SEPARATORS = re.compile(r"[\s-]+")
_PUNCTUATION = re.compile(r"[\s()./-]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def text_of(raw: bytes, source: str) -> bytes | Fault:
    """The event's JSON of a sale's JSON. Codes: of ``sale.read``, ``decode``, ``check_body``."""
    said = check_body(raw) or decode(raw)
    if isinstance(said, Fault):
        return said
    sale = read(said)
    return sale if isinstance(sale, Fault) else encode(event_of(sale, source))


def event_of(sale: Sale, source: str) -> dict[str, Any]:
    """The event, in the form of a batch's item. ``source`` is the name of the till's source."""
    order_id = sale.sale_id or f"{sale.till}/{sale.receipt}"
    returned = sale.kind == "return"
    parts = (source, sale.till, sale.receipt, *(["return"] if returned else []))
    event = {
        "type": "track",
        "event": ORDER_REFUNDED if returned else ORDER_COMPLETED,
        "messageId": message_id("till", *parts),
        "timestamp": time_of(sale.occurred_at),
        "properties": _properties(sale, order_id),
    }
    return fitted(event | _person(sale.customer or Buyer(), f"till:{source}:{order_id}"))


def card_of(text: str) -> str:
    """A loyalty card's number however it is printed or typed."""
    return _SEPARATORS.sub("", text).upper()


def phone_of(text: str) -> str | None:
    """A phone number as E.164 has it; None where its country is not said."""
    number = _PUNCTUATION.sub("", text)
    number = "+" + number[2:] if number.startswith("00") else number
    return number if _E164.fullmatch(number) else None


def _person(buyer: Buyer, nobody: str) -> dict[str, Any]:
    """Whose it is. A card is an anonymous id of its own, so is a phone number, hashed.

    ``nobody`` stands for a buyer whom nothing names: one for each sale, shared by its returns.
    """
    card = card_of(buyer.loyalty_card or "")
    email = buyer.email if buyer.email and "@" in buyer.email else None
    phone = phone_of(buyer.phone or "")
    traits = {"email": email, "phone": phone or buyer.phone}
    said: dict[str, Any] = {
        "context": context(
            "till",
            {name: value for name, value in traits.items() if value},
            [("loyalty_card", card)],
        )
        | {"channel": CHANNEL}
    }
    if buyer.user_id:
        said["userId"] = buyer.user_id
    if card:
        said["anonymousId"] = f"loyalty_card:{card}"
    elif phone and not buyer.user_id and not email:
        said["anonymousId"] = f"phone:{sha256(phone.encode()).hexdigest()}"
    elif not buyer.user_id and not email:
        said["anonymousId"] = nobody
    return said


def _properties(sale: Sale, order_id: str) -> dict[str, Any]:
    said: dict[str, Any] = dict(sale.model_extra or {})
    said |= {
        "order_id": order_id,
        "channel": CHANNEL,
        "till": sale.till,
        "receipt": sale.receipt,
        "affiliation": sale.store,
        "currency": sale.currency,
        "discount": sale.discount,
        "payments": [_extended(one, {}) for one in sale.payments],
        "products": [_product(line) for line in sale.lines],
    }
    said |= _refunded(sale) if sale.kind == "return" else _sold(sale)
    return {name: _plain(value) for name, value in said.items() if value not in (None, [])}


def _sold(sale: Sale) -> dict[str, Any]:
    assert sale.total is not None  # sale.read
    return {"total": sale.total, "tax": sale.tax, "revenue": sale.total - (sale.tax or 0)}


def _refunded(sale: Sale) -> dict[str, Any]:
    """Where the tax is known, what is taken back is what the sale's revenue had: no tax."""
    total = sale.total
    if total is None:
        total = sum((line.price * line.quantity for line in sale.lines if line.price), Decimal(0))
    if sale.tax is None:
        return {"total": total}
    return {"revenue": total - sale.tax, "tax": sale.tax, "paid_back": total}


def _product(line: Line) -> dict[str, Any]:
    return _extended(line, {"product_id": line.product_id or line.sku})


def _extended(part: Any, more: dict[str, Any]) -> dict[str, Any]:
    said = part.model_dump(exclude_none=True) | more
    return {name: _plain(value) for name, value in said.items() if value is not None}


def _plain(value: Any) -> Any:
    """Amounts in digits: never an exponent."""
    return format(value, "f") if isinstance(value, Decimal) else value
