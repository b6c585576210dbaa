"""The shop's events that the benches send: a fixed mix, a few very busy people, some trouble.

70 % views, 8 searches, 6 carts, 3 checkouts, 2 orders, 4 identifies, 5 mail opens and clicks,
1 consent, 1 refund; 0.6 % of message ids twice, 5 % out of order within 5 s, 2 % late by up to
48 hours, 0.1 % malformed; 1 % of events name two identities of a person; people by Zipf's law
(exponent 0.99). Texts are made once, with ``RUN`` in every id that must be fresh: each run
replaces it, so that sending costs next to nothing.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

import msgspec

PEOPLE = 100_000
_ZIPF = 0.99
_MIX = {
    "view": 70,
    "search": 8,
    "cart": 6,
    "checkout": 3,
    "order": 2,
    "identify": 4,
    "mail": 5,
    "consent": 1,
    "refund": 1,
}
_DUPLICATES, _SWAPPED, _LATE, _MALFORMED = 0.006, 0.05, 0.02, 0.001
_LINKING = 0.25
"""Of the identifies: with them, 1 % of all events link two identities."""
RUN = "@RUN@0"
"""Stands in every message id; ``run_tag`` gives what replaces it, of the same length."""
_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
_CATEGORIES = ("shoes", "shirts", "coats", "hats", "bags", "books", "lamps", "tea")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def run_tag(number: int) -> bytes:
    """What makes the ids of run ``number`` its own."""
    return b"r%05d" % number


def texts(count: int, *, people: int = PEOPLE, seed: int = 1, newcomers: float = 0.0) -> list[str]:
    """``count`` events as JSON, in the order in which they are sent.

    The message id of the nth is ``RUN-<n>`` (duplicates repeat an earlier one). Of
    ``newcomers``, a share of all, each is the only event of a person: half of them look at
    a product, half sign up for mail at ``RUN-<n>@new.example``.
    """
    return list(_Shop(people, seed).events(count, newcomers))


def batches(events: Sequence[str], size: int) -> list[bytes]:
    """Bodies of ``POST /v1/batch``."""
    return [
        b'{"batch":[' + ",".join(events[start : start + size]).encode() + b"]}"
        for start in range(0, len(events), size)
    ]


class _Shop:
    def __init__(self, people: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._weights = list(accumulate(1 / rank**_ZIPF for rank in range(1, people + 1)))
        self._people = range(people)
        self._now = datetime.now(UTC)
        self._orders: dict[int, tuple[str, Decimal]] = {}

    def events(self, count: int, newcomers: float) -> Iterator[str]:
        chance = self._chance
        kinds = chance.choices(list(_MIX), list(_MIX.values()), k=count)
        whose = chance.choices(self._people, cum_weights=self._weights, k=count)
        sent: list[str] = []
        for number, (kind, person) in enumerate(zip(kinds, whose, strict=True)):
            if chance.random() < newcomers:
                text = _encode(self._newcomer(number)).decode()
            elif sent and chance.random() < _DUPLICATES:
                text = chance.choice(sent[-5_000:])
            else:
                text = _encode(self._event(kind, person, number)).decode()
                if chance.random() < _MALFORMED:
                    text = text.replace('"type":"', '"type":"no-', 1)
            sent.append(text)
            yield text

    def _event(self, kind: str, person: int, number: int) -> dict[str, Any]:
        event = self._common(number)
        event |= {"anonymousId": f"a-{person:06d}-5f0c2d9e"}
        return getattr(self, f"_{kind}")(event, person)  # type: ignore[no-any-return]

    def _newcomer(self, number: int) -> dict[str, Any]:
        event = self._common(number)
        if number % 2:
            return self._view(event | {"anonymousId": f"n-{RUN}-{number}"}, number)
        address = f"{RUN}-{number:06d}@new.example"
        event["context"]["consent"] = {"categoryPreferences": {"email": True}}
        traits = {"email": address, "firstName": "Ada"}
        return event | {"type": "identify", "userId": f"n-{RUN}-{number}", "traits": traits}

    def _common(self, number: int) -> dict[str, Any]:
        chance = self._chance
        at = self._now
        roll = chance.random()
        if roll < _LATE:
            at -= timedelta(seconds=chance.uniform(5, 48 * 3_600))
        elif roll < _LATE + _SWAPPED:
            at -= timedelta(seconds=chance.uniform(0, 5))
        product = chance.randrange(5_000)
        path = f"/{_CATEGORIES[product % 8]}/product-{product:05d}"
        return {
            "messageId": f"{RUN}-{number:06d}",
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "type": "track",
            "context": {
                "ip": f"10.{product % 200}.{number % 200}.7",
                "locale": "en-GB",
                "library": {"name": "analytics.js", "version": "2.11.1"},
                "userAgent": _AGENT,
                "page": {
                    "path": path,
                    "url": f"https://shop.example{path}?ref=spring",
                    "title": f"Product {product} - Corner & Main",
                    "referrer": "https://search.example/",
                },
            },
        }

    def _view(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        return event | {"event": "Product Viewed", "properties": self._product()}

    def _search(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        query = f"{self._chance.choice(_CATEGORIES)} size {self._chance.randrange(36, 48)}"
        return event | {"event": "Products Searched", "properties": {"query": query}}

    def _cart(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        product = self._product() | {"cart_id": f"cart-{person}", "quantity": 1}
        return event | {"event": "Product Added", "properties": product}

    def _checkout(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        lines = [self._product() for _ in range(2)]
        return event | {
            "event": "Checkout Started",
            "properties": {"value": "59.80", "currency": "USD", "products": lines},
        }

    def _order(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        lines = [self._product() | {"quantity": 1} for _ in range(2)]
        revenue = sum((Decimal(str(line["price"])) for line in lines), Decimal(0))
        order_id = f"o-{event['messageId']}"
        self._orders[person] = (order_id, revenue)
        properties = {
            "order_id": order_id,
            "revenue": revenue,
            "total": revenue + 5,
            "currency": "USD",
            "products": lines,
        }
        return event | {"event": "Order Completed", "properties": properties}

    def _refund(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        if person not in self._orders:
            if not self._orders:
                return self._view(event, person)
            person = self._chance.choice(list(self._orders)[-50:])
        order_id, revenue = self._orders[person]
        properties = {"order_id": order_id, "total": revenue / 2, "currency": "USD"}
        event["anonymousId"] = f"a-{person:06d}-5f0c2d9e"
        return event | {"event": "Order Refunded", "properties": properties}

    def _identify(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        traits: dict[str, Any] = {"firstName": f"Ann{person % 97}", "plan": "standard"}
        if self._chance.random() < _LINKING:
            traits["email"] = f"person{person}@mail.example"
        else:
            del event["anonymousId"]
        return event | {"type": "identify", "userId": f"u-{person}", "traits": traits}

    def _mail(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        del event["anonymousId"]
        name = self._chance.choice(("Email Opened", "Email Link Clicked"))
        properties = {"campaign_id": "spring", "link_url": "https://shop.example/new"}
        return event | {"userId": f"u-{person}", "event": name, "properties": properties}

    def _consent(self, event: dict[str, Any], person: int) -> dict[str, Any]:
        properties = {"channel": "email", "granted": self._chance.random() < 0.9}
        return event | {"event": "Consent Updated", "properties": properties}

    def _product(self) -> dict[str, Any]:
        product = self._chance.randrange(5_000)
        return {
            "product_id": f"p-{product:05d}",
            "sku": f"SKU-{product:05d}",
            "name": f"Product {product}",
            "category": _CATEGORIES[product % 8],
            "brand": "Corner & Main",
            "price": Decimal(999 + product) / 100,
            "currency": "USD",
        }
