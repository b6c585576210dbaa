"""Carts: what somebody was about to buy, from the latest events about it.

Cart Viewed, Cart Updated and the steps of a checkout say all that is in a cart where they
have ``products``; Product Added, Product Removed and Wishlist Product Added to Cart what came
in and went out since. A person's latest ``MOST_ENTRIES`` such events are kept, of all carts
together: a window over the set of events, whatever order they arrive in.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.messages import Cart, OrderLine
from services.profile.build.rules.lines import line_of, lines_of, sum_of
from services.profile.build.rules.values import DEFAULT_CURRENCY, currency, number
from services.profile.commerce.model import CartEntry, Commerce, Content, Does, Told
from services.profile.commerce.rules.words import LONGEST, LONGEST_URL, short

MOST_ENTRIES = 100
MOST_LINES = 100
MOST_CARTS = 10
"""In a published profile, the latest."""

_DOES: dict[str, Does] = {
    "Product Added": "adds",
    "Wishlist Product Added to Cart": "adds",
    "Product Removed": "removes",
}
_CHECKOUT = frozenset(
    ["Checkout Started", "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered"]
)
_CHANGES = frozenset(["adds", "holds", "removes"])
EVENTS = frozenset(["Cart Viewed", "Cart Updated", *_DOES, *_CHECKOUT])

Closings = dict[str, datetime]
"""Cart id -> when an order was last made of it; ``ALL``: of whatever there was."""
ALL = "\n"
"""No cart's id: ids are trimmed."""


def fold_cart(kept: Commerce, told: Told) -> bool:
    """Take in one of ``EVENTS``; False if it cannot change what is in any cart."""
    entries, key = kept.carts, (told.at, told.message_id)
    place = len(entries)
    if entries and _key(entries[-1]) >= key:  # seldom: it comes late
        place = bisect_left(entries, key, key=_key)
        if place == 0 and len(entries) >= MOST_ENTRIES:
            return False
    entry = _entry(told)
    if any(later.does == "holds" and later.cart == entry.cart for later in entries[place:]):
        entry = CartEntry(entry.at, entry.message_id)
    elif entry.does == "holds":
        _forget(entries, place, entry.cart)
    entries.insert(place, entry)
    del entries[: max(len(entries) - MOST_ENTRIES, 0)]
    if entry.does == "touches":
        about = any(one.does in _CHANGES and one.cart == entry.cart for one in entries)
    else:
        about = bool(entry.does)
    return about or len(entries) == MOST_ENTRIES  # Then something was let go, or may be next.


def _forget(entries: list[CartEntry], place: int, cart: str) -> None:
    """Of what was before ``place``, only the places matter to this cart any more."""
    for number_ in range(place - 1, -1, -1):
        earlier = entries[number_]
        if earlier.does and earlier.cart == cart:
            entries[number_] = CartEntry(earlier.at, earlier.message_id)
            if earlier.does == "holds":
                return  # It has made all that is before it forgotten.


def _key(entry: CartEntry) -> tuple[datetime, str]:
    return entry.at, entry.message_id


def _entry(told: Told) -> CartEntry:
    said, cart = told.properties, short(told.properties.get("cart_id"))
    checkout = told.name in _CHECKOUT
    does = _DOES.get(told.name)
    if does is not None:
        line = _bounded(line_of(said))
        if said.get("quantity") is None and does == "removes":
            line.quantity = 0  # The whole line, however much of it there is.
        content = Content([line], _currency(said))
        return CartEntry(told.at, told.message_id, does, cart, content)
    content = Content(currency=_currency(said), checkout=checkout)
    if checkout:
        content.checkout_id = short(said.get("checkout_id"))
        content.url = short(said.get("url"), LONGEST_URL)
    if not isinstance(said.get("products"), list):
        return CartEntry(told.at, told.message_id, "touches", cart, content)
    content.lines = [_bounded(line) for line in lines_of(said["products"])[:MOST_LINES]]
    given = (number(said.get(name)) for name in ("value", "revenue"))
    content.value = next((value for value in given if value is not None and value >= 0), None)
    return CartEntry(told.at, told.message_id, "holds", cart, content)


def _currency(said: dict[str, Any]) -> str:
    return currency(said.get("currency")) or "" if said.get("currency") else ""


def _bounded(line: OrderLine) -> OrderLine:
    """A line of ``line_of`` whose texts are not too long."""
    texts = (line.product_id, line.name, line.category, line.brand)
    if all(text is None or len(text) <= LONGEST for text in texts):
        return line
    return msgspec.structs.replace(
        line,
        product_id=short(line.product_id),
        name=short(line.name) or None,
        category=short(line.category) or None,
        brand=short(line.brand) or None,
    )


def closings_of(ordered: Iterable[tuple[datetime, str]]) -> Closings:
    """Of (when, cart id or ``""``) of orders.

    An order that names its cart empties that one and the one without an id; an order that
    names none empties all that there was.
    """
    closings: Closings = {}
    for at, cart in ordered:
        for name in (cart, "") if cart else (ALL,):
            closings[name] = max(at, closings.get(name, at))
    return closings


def carts_of(kept: Commerce, closings: Closings) -> list[Cart]:
    """The carts that have something in them, the latest first.

    What was in one before an order was made of it is bought.
    """
    open_: dict[str, _Open] = {}
    everything = closings.get(ALL)
    for entry in kept.carts:
        if not entry.does or entry.content is None:
            continue
        if everything is not None and entry.at <= everything:
            continue
        closed = closings.get(entry.cart)
        if closed is not None and entry.at <= closed:
            continue
        cart = open_.get(entry.cart)
        if cart is None or entry.does == "holds":
            cart = open_[entry.cart] = _Open(whole=entry.does == "holds")
        cart.take(entry.does, entry.at, entry.content)
    full = len(kept.carts) >= MOST_ENTRIES
    carts = [
        cart.published(cart_id, capped=full and not cart.whole) for cart_id, cart in open_.items()
    ]
    carts = [cart for cart in carts if cart.products]
    carts.sort(key=lambda cart: (cart.updated_at, cart.cart_id), reverse=True)
    return carts[:MOST_CARTS]


class _Open:
    """A cart while its events are read in their order."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self._lines: dict[str, OrderLine] = {}
        self._currencies: dict[str, None] = {}
        self._value: Decimal | None = None
        self._updated_at: datetime | None = None
        self._checkout_at: datetime | None = None
        self._checkout_id = self._url = ""

    def take(self, does: str, at: datetime, content: Content) -> None:
        self._updated_at = at
        if content.currency:
            self._currencies[content.currency] = None
        if content.checkout:
            self._checkout_at = at
            self._checkout_id = content.checkout_id or self._checkout_id
            self._url = content.url or self._url
        if does == "touches":
            return
        self._value = content.value
        for line in content.lines:
            self._move(line, -1 if does == "removes" else 1)

    def _move(self, line: OrderLine, sign: int) -> None:
        key = line.product_id or line.name or ""
        held = self._lines.get(key)
        had = 0 if held is None else held.quantity
        left = had + sign * line.quantity if sign > 0 or line.quantity else 0
        if left <= 0:
            self._lines.pop(key, None)
        elif held is None:
            self._lines[key] = line
        else:
            shown = line if sign > 0 else held
            self._lines[key] = msgspec.structs.replace(shown, quantity=left)

    def published(self, cart_id: str, *, capped: bool) -> Cart:
        assert self._updated_at is not None  # every cart has an entry
        lines, value = list(self._lines.values())[:MOST_LINES], self._value
        if value is None and all(line.price is not None for line in lines):
            value = sum_of(lines)
        return Cart(
            cart_id=cart_id,
            currency=next(reversed(self._currencies), DEFAULT_CURRENCY),
            value=None if len(self._currencies) > 1 else value,
            items=sum(line.quantity for line in lines),
            updated_at=self._updated_at,
            checkout_at=self._checkout_at,
            checkout_id=self._checkout_id,
            url=self._url,
            capped=capped,
            products=lines,
        )
