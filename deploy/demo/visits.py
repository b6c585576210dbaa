"""One visit to the demo shop, as the events that its pages and its server would send.

Pure: a visit is a generator that draws every choice from the ``Random`` it is given.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from deploy.demo.goods import CATEGORIES, PRODUCTS, SEARCHES, SHOP, Person, Product

Event = dict[str, Any]
_SHIPPING = Decimal("4.90")


class Step(NamedTuple):
    """What happens next in a visit, so many seconds after what was before."""

    seconds: float
    event: Event


@dataclass
class Visit:
    """A visitor with a device, maybe an account, and a cart."""

    random: Random
    device: str
    person: Person | None
    """None: somebody who never logs in."""
    next_order: Callable[[], str]
    """Gives an order id that was never used."""
    known: bool = False
    """Logged in, so that events carry the userId."""
    cart: list[Product] = field(default_factory=list)

    def events(self) -> Iterator[Step]:
        """The whole visit."""
        yield self._page("Home", "/")
        for _ in range(self.random.randint(1, 3)):
            yield from self._browse()
            if self._chance(0.1):
                yield from self._chat()
        if self.person is not None and not self.known and self._chance(0.8):
            yield self._login(self.person)
            if self._chance(0.75):
                yield self._consent("granted" if self._chance(0.85) else "denied")
        if self.cart and self._chance(0.75):
            yield self._track("Cart Viewed", products=[item.line() for item in self.cart])
        if self.person is not None and self._chance(0.25):
            yield from self._other_device(self.person)
        if self.cart and self._chance(0.5):
            yield from self._order()

    def _browse(self) -> Iterator[Step]:
        category = self._category()
        if self._chance(0.4):
            yield self._track("Products Searched", query=self.random.choice(SEARCHES))
        else:
            yield self._track("Product List Viewed", category=category)
        shelf = [product for product in PRODUCTS if product.category == category]
        for _ in range(self.random.randint(1, 3)):
            product = self.random.choice(shelf)
            yield self._track("Product Viewed", **product.line(), url=f"{SHOP}/p/{product.id}")
            if self._chance(0.35):
                self.cart.append(product)
                step = self._track("Product Added", **product.line())
                # For the reminder: what its subject will name.
                step.event["context"]["traits"] = {"lastAdded": product.name}
                yield step
                if self._chance(0.1):
                    yield self._track("Product Removed", **self.cart.pop().line())

    def _category(self) -> str:
        if self.person is not None and self._chance(0.6):
            return self.person.taste
        return self.random.choice(CATEGORIES)

    def _login(self, person: Person) -> Step:
        self.known = True
        event = {"type": "identify", "traits": person.traits}
        return self._step(event, user_id=person.user_id)

    def _consent(self, state: str) -> Step:
        return self._track("Consent Updated", channel="email", state=state)

    def _other_device(self, person: Person) -> Iterator[Step]:
        """Goes on at the other device: as a stranger at first, then logged in."""
        first, other = person.devices
        self.device = other if self.device == first else first
        self.known = False
        yield self._page("Home", "/")
        yield self._track("Product List Viewed", category=self._category())
        yield self._login(person)
        if self.cart:
            yield self._track("Cart Viewed", products=[item.line() for item in self.cart])

    def _order(self) -> Iterator[Step]:
        yield self._track("Checkout Started", products=[item.line() for item in self.cart])
        if self._chance(0.3):
            return  # abandoned at the last moment
        order = self._bill()
        yield self._track("Order Completed", **order)
        if self._chance(0.06):
            yield self._later("Order Cancelled", order_id=order["order_id"])
        elif self._chance(0.1):
            back, currency = self.cart[0].price, order["currency"]
            name = order["order_id"]
            yield self._later("Order Refunded", order_id=name, total=str(back), currency=currency)
        self.cart = []

    def _bill(self) -> Event:
        revenue = sum(item.price for item in self.cart)
        order = {
            "order_id": self.next_order(),
            "currency": self.person.currency if self.person else "USD",
            "revenue": str(revenue),
            "shipping": str(_SHIPPING),
            "total": f"{revenue + _SHIPPING:.2f}",
            "products": [item.line() for item in self.cart],
        }
        if self.person is not None:
            order["email"] = self.person.email
        return order

    def _chat(self) -> Iterator[Step]:
        chat = {"conversation_id": f"chat-{self.random.getrandbits(40):010x}", "agent_name": "Mo"}
        yield self._track("Live Chat Conversation Started", **chat)
        yield self._track("Live Chat Message Sent", **chat)
        yield self._track("Live Chat Message Received", **chat)
        yield self._track("Live Chat Conversation Ended", **chat)

    # -- forms -----------------------------------------------------------------------------

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _track(self, name: str, /, **properties: Any) -> Step:
        return self._step({"type": "track", "event": name, "properties": properties})

    def _later(self, name: str, /, **properties: Any) -> Step:
        step = self._track(name, **properties)
        return Step(self.random.uniform(8, 25), step.event)

    def _page(self, name: str, path: str) -> Step:
        return self._step({"type": "page", "name": name, "properties": {"url": f"{SHOP}{path}"}})

    def _step(self, event: Event, user_id: str | None = None) -> Step:
        event["anonymousId"] = self.device
        event["context"] = {"page": {"url": SHOP}, "locale": "en"}
        if self.known and self.person is not None:
            event["userId"] = user_id or self.person.user_id
        return Step(self.random.uniform(0.3, 5.0), event)
