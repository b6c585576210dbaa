"""Exchange rates from the API to a person's revenue in one currency, on a real MongoDB."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from schemas.messages import Definition
from services.profile.api import create_app
from services.profile.commerce.routes import RateDesk
from services.profile.commerce.store import RatesStore
from services.profile.computed.catalogue import Catalogue
from services.runtime.mongo import transaction
from services.runtime.turn import Source, Timer, Turn
from tests.spine import Sent, Spine, event, settings_of

pytestmark = pytest.mark.broker

SOURCE = Source("x/profile.interactions/0", "profile.interactions", 0)


def ordered(order_id: str, seconds: float, revenue: str, currency: str) -> Any:
    said = {"order_id": order_id, "revenue": revenue, "currency": currency}
    return event(order_id, seconds, event="Order Completed", user_id="u1", properties=said)


class Shop:
    """The API, and a worker of build that hears of what it publishes."""

    def __init__(self, spine: Spine, sent: Sent, http: httpx.AsyncClient) -> None:
        self.spine, self.sent, self._http = spine, sent, http

    async def ask(self, role: str, method: str, path: str, **request: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {role}"}
        answer = await self._http.request(method, path, headers=headers, **request)
        return answer.status_code, answer.json()

    async def take(self, days: Any, reference: str = "EUR", role: str = "admin") -> tuple[int, Any]:
        body = {"reference": reference, "days": days}
        return await self.ask(role, "POST", "/v1/rates", json=body)

    async def hears(self) -> int:
        """The worker takes up what was published; how many profiles it then announces."""
        for message in self.sent:
            told = msgspec.json.decode(message.value, type=Definition)
            self.spine.current[told.kind, told.name] = told
            self.spine.revision += 1
        self.sent.clear()
        announced, timers = 0, [Timer(SOURCE, "none", datetime.now(UTC), b"")]
        while timers:
            async with await self.spine.client.start_session() as session, transaction(session):
                turn = Turn(now=datetime.now(UTC), session=session, timers=timers)
                await self.spine.build.handle(turn)
                await turn.written()
            await self.spine.build.committed(turn)
            announced += len(turn.messages)
            timers = [one for one in turn.timers_set.values() if one.key == "rates"]
        return announced

    async def worth(self) -> tuple[Any, list[str]]:
        _, person = await self.ask("reader", "GET", "/v1/profiles/by/user_id/u1")
        return person["revenue_base"], person["revenue_base_missing"]


@pytest_asyncio.fixture
async def shop(stack: Any) -> AsyncIterator[Shop]:
    settings = settings_of(stack).model_copy(update={"base_currency": "EUR"})
    spine, sent, app = Spine(settings), Sent(), create_app(settings)
    await spine.prepare()
    await spine.build.assigned([SOURCE])
    store = RatesStore(spine.database)
    app.state.rates = RateDesk(store, Catalogue(store, sent), "EUR")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://profile") as http:
        yield Shop(spine, sent, http)
    app.state.client.close()
    await spine.client.drop_database(spine.database.name)
    spine.client.close()


async def test_rates_that_are_taken_in_value_the_orders_there_are(shop: Shop) -> None:
    await shop.spine.happened(ordered("o1", 1, "11.00", "USD"), ordered("o2", 2, "5.00", "EUR"))
    await shop.spine.happened(event("m", 3, event="Page Viewed", user_id="u2"))
    assert await shop.worth() == (None, ["USD"])

    rates = {"2026-02-27": {"USD": "1.1", "JPY": 160}, "2026-03-02": {"USD": "1.2"}}
    assert (await shop.take(rates, role="marketer"))[0] == 403
    assert await shop.take(rates) == (200, {"days": 2, "rates": 3, "published": True})
    assert [message.key for message in shop.sent] == ["rates/2026-02", "rates/2026-03"]
    assert await shop.hears() == 1
    assert await shop.worth() == ({"amount": "15.00", "currency": "EUR"}, [])

    assert (await shop.take(rates))[0] == 200
    assert await shop.hears() == 0  # the same again
    await shop.take({"2026-02-27": {"USD": None}, "2026-02-26": {"USD": "1.0"}})
    assert await shop.hears() == 1
    assert await shop.worth() == ({"amount": "16.00", "currency": "EUR"}, [])

    assert await shop.ask("reader", "GET", "/v1/rates") == (200, {
        "base": "EUR", "reference": "EUR", "currencies": [
            {"currency": "JPY", "first_day": "2026-02-27", "last_day": "2026-02-27", "days": 1},
            {"currency": "USD", "first_day": "2026-02-26", "last_day": "2026-03-02", "days": 2},
        ],
    })  # fmt: skip
    assert await shop.ask("reader", "GET", "/v1/rates/2026-03-01") == (200, {
        "day": "2026-03-01", "reference": "EUR", "rates": {
            "JPY": {"rate": "160", "day": "2026-02-27"}, "USD": {"rate": "1.0", "day": "2026-02-26"}
        },
    })  # fmt: skip


@pytest.mark.parametrize(
    ("days", "reference", "status"),
    [
        ({"2026-03-02": {"USD": "1.2"}}, "GBP", 409),
        ({"2026-03-02": {"USD": "-1"}}, "EUR", 422),
        ({"2026-03-02": {"USD": "1,2"}}, "EUR", 422),
        ({"2026-03-02": {"XXX": "1.2"}}, "EUR", 422),
        ({"the 2nd": {"USD": "1.2"}}, "EUR", 422),
        ({}, "EUR", 422),
    ],
)
async def test_rates_that_cannot_be_used_are_refused_whole(
    shop: Shop, days: Any, reference: str, status: int
) -> None:
    assert (await shop.take({"2026-03-01": {"USD": "1.1"}}))[0] == 200
    shop.sent.clear()
    answer, problem = await shop.take(days, reference)
    assert (answer, problem["status"], shop.sent) == (status, status, [])
