"""Wishlists: of each product of each list, whether it is on it, by the last word."""

from operator import attrgetter

import msgspec

from schemas.messages import Wished, Wishlist
from services.profile.build.rules.lines import line_of
from services.profile.build.rules.values import currency
from services.profile.commerce.model import Commerce, Told, Wish
from services.profile.commerce.rules.recent import is_later, keep_latest
from services.profile.commerce.rules.words import short

MOST = 200
"""Products of all lists together, those that were taken off included; the latest are kept."""
_ADDED = "Product Added to Wishlist"
EVENTS = frozenset([_ADDED, "Product Removed from Wishlist"])


def fold_wish(kept: Commerce, told: Told) -> bool:
    """Take in one of ``EVENTS``; False if it changes nothing or names no product."""
    said = told.properties
    line = line_of(said)
    product = short(line.product_id)
    if not product:
        return False
    wishlist = short(said.get("wishlist_id"))
    wish = Wish(
        at=told.at,
        message_id=told.message_id,
        wishlist=wishlist,
        name=short(said.get("wishlist_name")),
        line=None,
        currency="",
    )
    if told.name == _ADDED:
        wish.line = msgspec.structs.replace(
            line,
            product_id=product,
            name=short(line.name) or None,
            category=short(line.category) or None,
            brand=short(line.brand) or None,
        )
        wish.currency = currency(said.get("currency")) or ""
    return keep_latest(kept.wishes, f"{wishlist}\n{product}", wish, MOST)


def wishlists_of(kept: Commerce) -> list[Wishlist]:
    """The lists with something on them, by id; products by (added_at, product_id)."""
    names: dict[str, Wish] = {}
    lists: dict[str, Wishlist] = {}
    for wish in kept.wishes.values():
        if wish.name and is_later(wish, names.get(wish.wishlist)):
            names[wish.wishlist] = wish
        shown = lists.setdefault(
            wish.wishlist, Wishlist(wishlist_id=wish.wishlist, updated_at=wish.at)
        )
        shown.updated_at = max(shown.updated_at, wish.at)
        if wish.line is not None:
            line = wish.line
            shown.products.append(
                Wished(
                    product_id=line.product_id,
                    added_at=wish.at,
                    name=line.name,
                    category=line.category,
                    brand=line.brand,
                    price=line.price,
                    currency=wish.currency,
                )
            )
    for wishlist, wish in names.items():
        lists[wishlist].name = wish.name
    for shown in lists.values():
        shown.products.sort(key=attrgetter("added_at", "product_id"))
    return [lists[id_] for id_ in sorted(lists) if lists[id_].products]
