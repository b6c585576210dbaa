"""An order that is handed on to another customer, in every table, segment and mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.demo.supervisor import Supervisor
from tests.storefront import Client, quiet

pytestmark = pytest.mark.broker

SEGMENTS = {
    "buyers": {"fact": "order_count", "op": "gte", "value": 1},
    "returning": {"fact": "order_count", "op": "gte", "value": 2},
    "spenders": {"fact": "revenue", "currency": "USD", "op": "gte", "value": "30.00"},
    "paid": {
        "event": "Order Completed", "aggregate": "sum", "property": "revenue",
        "currency": "USD", "op": "gte", "value": "30.00",
    },
}  # fmt: skip
MAILED = ("buyers", "returning")
MAIL_OF = {
    "name": "A mail",
    "from": "Shop <hello@shop.example>",
    "text": "Stop: {{ unsubscribe_url }}",
}
NOTHING = (0, "0.00", None)
TABLES = ("revenue_by_day", "customers", "top_products")
WHY = {"reason": "It was a gift."}

Event = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Gift:
    """Ann's order, which is Bob's in the end, in a month that nobody else has."""

    month: str

    def name(self, who: str) -> str:
        """Of one of its people, or its order."""
        return f"{who}-{self.month}"

    def day(self, number: int) -> str:
        return f"{self.month}-{number:02}"

    def known(self, day: int, who: str) -> Event:
        """A customer who may be written to."""
        name = self.name(who)
        consent = {"consent": {"categoryPreferences": {"email": True}}}
        traits = {"email": f"{name}@example.com"}
        said = {"type": "identify", "userId": name, "traits": traits, "context": consent}
        return self._at(day, said)

    def told(self, day: int, kind: str, who: str = "", **said: Any) -> Event:
        """Of the order, by the shop, of a customer or of none."""
        number = self.name("gift")
        event = {
            "type": "track",
            "event": f"Order {kind}",
            "properties": {"order_id": number, "currency": "USD", **said},
            "context": {"externalIds": [{"type": "order", "id": number}]},
        }
        return self._at(day, event | ({"userId": self.name(who)} if who else {}))

    def bought(self, day: int, who: str) -> Event:
        """Another order, of a jug."""
        jug = {"product_id": "jug", "name": "Jug", "price": "7.00", "quantity": 1}
        sold = {"order_id": self.name(f"{who}-jug"), "currency": "USD", "products": [jug]}
        said = {"type": "track", "event": "Order Completed", "userId": self.name(who)}
        return self._at(day, said | {"properties": sold})

    def _at(self, day: int, said: Event) -> Event:
        id_ = f"{said.get('userId', self.month)}-{said.get('event', said['type'])}-{day}"
        return said | {"messageId": id_, "timestamp": f"{self.day(day)}T10:00:00Z"}


CONTENT = {
    "total": "60.00",
    "revenue": "50.00",
    "shipping": "10.00",
    "products": [
        {"product_id": "tea", "name": "Tea", "price": "15.00", "quantity": 2},
        {"product_id": "pot", "name": "Pot", "price": "20.00", "quantity": 1},
    ],
}


def known(gift: Gift) -> list[Event]:
    return [gift.known(1, "ann"), gift.known(2, "bob"), gift.bought(5, "bob")]


def of_ann(gift: Gift) -> list[Event]:
    """Ann buys, and has a part of it paid back."""
    return [
        gift.told(3, "Completed", "ann", **CONTENT),
        gift.told(4, "Refunded", total="12.00", revenue="12.00"),
    ]


def to_bob(gift: Gift) -> Event:
    return gift.told(6, "Updated", "bob", **CONTENT)


# -- what must be ------------------------------------------------------------------------------


def sold(gift: Gift, back: str = "12.00") -> dict[str, Rows]:
    """Revenue by day, and products, whoever has the order; ``back`` was paid back of it."""
    jug, tea, pot = (
        {"product_id": name, "name": name.title(), "units": units, "revenue": f"{worth}.00"}
        for name, units, worth in (("jug", 1, 7), ("tea", 2, 30), ("pot", 1, 20))
    )
    days = {
        3: _placed("50.00"),
        4: {"refunds": back, "net_revenue": f"-{back}"},
        5: _placed("7.00"),
    }
    return {
        "revenue_by_day": [{"day": gift.day(each)} | row for each, row in days.items()],
        "top_products": [tea, pot, jug],
    }


def _placed(revenue: str) -> dict[str, Any]:
    names = ("revenue", "net_revenue", "average_order_value")
    return {"orders": 1} | dict.fromkeys(names, revenue)


def customers(gift: Gift, days: dict[int, list[str]]) -> dict[str, Rows]:
    return {"customers": [{"day": gift.day(d)} | dict.fromkeys(n, 1) for d, n in days.items()]}


def with_ann(gift: Gift, back: str = "12.00") -> dict[str, Rows]:
    came = ["new_people", "with_orders"]
    days = {1: came, 2: came, 3: ["new_customers"], 5: ["new_customers"]}
    return sold(gift, back) | customers(gift, days)


def with_bob(gift: Gift, back: str = "12.00") -> dict[str, Rows]:
    """He has bought since the day on which Ann placed it, and she never has."""
    days = {1: ["new_people"], 2: ["new_people", "with_orders"], 3: ["new_customers"]}
    return sold(gift, back) | customers(gift, days)


def with_one(gift: Gift) -> dict[str, Rows]:
    days = {1: ["new_people", "with_orders"], 3: ["new_customers"]}
    return sold(gift) | customers(gift, days)


# -- what is --------------------------------------------------------------------------------------


class Shop:
    """One gift's month and people, as every service tells of them."""

    def __init__(self, regulars: Supervisor, client: Client, gift: Gift) -> None:
        self._regulars, self._client, self._gift = regulars, client, gift

    async def define(self) -> None:
        """The segments, and a mail for each of two, if they are not there yet."""
        for key, rule in SEGMENTS.items():
            if await self._client.get("segmentation", f"/v1/segments/{key}") is None:
                body = {"name": key, "rule": rule}
                await self._client.put("segmentation", f"/v1/segments/{key}", body)
                if key in MAILED:
                    body = MAIL_OF | {"trigger": {"segment": key}, "subject": key}
                    await self._client.put("notifier", f"/v1/campaigns/{key}", body)
        await quiet(self._regulars)

    async def told(self, *turns: Sequence[Event]) -> None:
        for events in turns:
            assert (await self._client.send(list(events)))["accepted"] == len(events)
            await quiet(self._regulars)

    async def tables(self) -> dict[str, Rows]:
        """Every row of the tables that go by orders, without what is zero."""
        period, found = f"from={self._gift.day(1)}&to={self._gift.day(28)}", {}
        for name in TABLES:
            table = await self._client.get("reporting", f"/v1/tables/{name}?{period}")
            assert table is not None
            found[name] = [
                {key: value for key, value in row.items() if value not in (*NOTHING, "USD")}
                for row in table["rows"]
            ]
        return found

    async def segments(self) -> dict[str, list[str]]:
        """Who of the two is in each."""
        ids = {who: await self.id_of(who) for who in ("ann", "bob")}
        found = {}
        for key in SEGMENTS:
            members = await self._client.items("segmentation", f"/v1/segments/{key}/members")
            inside = {member["profile_id"] for member in members}
            found[key] = [who for who, id_ in ids.items() if id_ in inside]
        return found

    async def mails(self) -> dict[str, list[str]]:
        """What was decided to be sent to each, by when they are two."""
        found = {}
        for who in ("ann", "bob"):
            path = f"/v1/messages?profile_id={await self.id_of(who)}"
            found[who] = sorted(
                one["campaign"] for one in await self._client.items("notifier", path)
            )
        return found

    async def id_of(self, who: str) -> str:
        path = f"/v1/profiles/by/user_id/{self._gift.name(who)}"
        found = await self._client.get("profile", path)
        assert found is not None
        return str(found["profile_id"])

    async def act(self, profile_id: str, what: str, **body: str) -> None:
        path = f"/v1/profiles/{profile_id}/{what}"
        assert await self._client.act("profile", path, body | WHY) == 200
        await quiet(self._regulars)


async def test_an_order_that_is_handed_on_counts_once_in_every_table_for_who_has_it(
    regulars: Supervisor, shop: Client
) -> None:
    gift = Gift("2025-03")
    asked = Shop(regulars, shop, gift)
    await asked.define()
    await asked.told(known(gift), of_ann(gift))
    assert await asked.tables() == with_ann(gift)
    hers = {"buyers": ["ann", "bob"], "returning": [], "spenders": ["ann"], "paid": ["ann"]}
    assert await asked.segments() == hers

    await asked.told([to_bob(gift)])
    assert await asked.tables() == with_bob(gift)
    theirs = {"buyers": ["bob"], "returning": ["bob"], "spenders": ["bob"], "paid": ["ann"]}
    assert await asked.segments() == theirs
    mails = {"ann": ["buyers"], "bob": ["buyers", "returning"]}
    assert await asked.mails() == mails

    ann, bob = await asked.id_of("ann"), await asked.id_of("bob")
    await asked.act(ann, "merge", **{"with": bob})
    assert await asked.tables() == with_one(gift)
    assert await asked.segments() == {key: ["ann", "bob"] for key in SEGMENTS}
    (former,) = {ann, bob} - {await asked.id_of("ann")}
    await asked.act(ann, "unmerge", merge=former)
    assert {await asked.id_of("ann"), await asked.id_of("bob")} == {ann, bob}
    assert await asked.tables() == with_bob(gift)
    assert await asked.segments() == theirs
    assert await asked.mails() == mails

    await asked.told([gift.told(4, "Updated", "ann", total="80.00"),
                      gift.told(4, "Refunded", "ann", total="3.00", revenue="3.00")])  # fmt: skip
    assert await asked.tables() == with_bob(gift, back="15.00")
    await asked.told([gift.told(8, "Updated", "ann", **CONTENT)])
    assert await asked.tables() == with_ann(gift, back="15.00")
    assert await asked.segments() == hers
    assert await asked.mails() == mails


@pytest.mark.parametrize("late", ["the customer", "the order", "the refund"])
async def test_whatever_of_it_comes_late_the_tables_are_the_same(
    regulars: Supervisor, shop: Client, late: str
) -> None:
    month = {"the customer": "2025-04", "the order": "2025-05", "the refund": "2025-06"}[late]
    gift = Gift(month)
    asked = Shop(regulars, shop, gift)
    await asked.define()
    placed, refund = of_ann(gift)
    turns = {
        "the customer": ([placed, refund, to_bob(gift)], known(gift)),
        "the order": ([to_bob(gift), *known(gift)], [refund], [placed]),
        "the refund": ([*known(gift), placed], [to_bob(gift)], [refund]),
    }[late]
    await asked.told(*turns)
    assert await asked.tables() == with_bob(gift)
    assert (await asked.segments())["spenders"] == ["bob"]
