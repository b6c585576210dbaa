"""The console's clients: typed answers, and errors in words a person can read."""

import logging
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, Response

from services.console.answers import Amount, Page
from services.console.client import Apis, Connections, Trouble
from tests.consoling import TOKEN, Stub, problem, settings


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub().served() as served:
        yield served


@pytest_asyncio.fixture
async def apis(stub: Stub) -> AsyncIterator[Apis]:
    async with Connections(settings(stub.url)) as connections:
        yield Apis(connections, TOKEN)


PERSON = {
    "profile_id": "p_1",
    "version": 3,
    "traits": {"name": "Ann"},
    "identifiers": [],
    "consent": {},
    "first_seen": None,
    "last_seen": "2026-03-05T09:30:00Z",
    "interactions": 2,
    "orders": [],
    "order_count": 1,
    "revenue": [{"amount": "2500315.63", "currency": "USD"}],
    "a_field_of_next_year": {"deep": [1]},
}


async def test_money_arrives_exact_and_unknown_fields_are_skipped(stub: Stub, apis: Apis) -> None:
    stub.answers["/v1/profiles/p_1"] = PERSON
    found = await apis.profiles.profile("p_1")
    assert found.revenue == [Amount(Decimal("2500315.63"), "USD")]


async def test_an_id_is_one_part_of_the_path_whatever_it_holds(stub: Stub, apis: Apis) -> None:
    with pytest.raises(Trouble):
        await apis.profiles.profile("../segments?x=1")
    assert stub.asked == ["/v1/profiles/..%2Fsegments%3Fx%3D1"]


async def test_what_is_not_given_is_not_asked_for(stub: Stub, apis: Apis) -> None:
    stub.answers["/v1/profiles"] = {"items": [], "next": None}
    assert await apis.profiles.search("", limit=25) == Page(items=[], next=None)
    assert stub.asked == ["/v1/profiles?limit=25"]


async def test_former_ids_are_asked_for_together(stub: Stub, apis: Apis) -> None:
    stub.answers["/v1/messages"] = {"items": [], "next": None}
    await apis.messages.messages(["p_1", "p_0"], limit=5)
    assert stub.asked == ["/v1/messages?profile_id=p_1&profile_id=p_0&limit=5"]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (problem(404, "Not Found", "There is no profile with this id."), 404,
         "Profile: There is no profile with this id."),
        (problem(503, "Not ready", ""), 503, "Profile: Not ready"),
        (problem(401, "Unauthorized", "x"), 401, "Profile does not accept this token."),
        (problem(403, "Forbidden", "x"), 403,
         "Profile does not let this token's role see this."),
        (Response("<h1>Bad gateway</h1>", 502), 502, "Profile: Bad Gateway"),
        (JSONResponse({"profile_id": 7}), 200,
         "Profile answered with something that this console does not understand. "
         "Are both of the same version?"),
        (Response(b"\xff not json"), 200,
         "Profile answered with something that this console does not understand. "
         "Are both of the same version?"),
    ],
)  # fmt: skip
async def test_every_kind_of_failure_is_said_in_words(
    stub: Stub, apis: Apis, answer: Response, status: int, said: str
) -> None:
    stub.answers["/v1/profiles/p_1"] = answer
    with pytest.raises(Trouble) as caught:
        await apis.profiles.profile("p_1")
    assert (caught.value.status, caught.value.message) == (status, said)


async def test_an_api_that_is_away_is_named_with_its_address() -> None:
    async with Connections(settings("http://127.0.0.1:9")) as connections:
        with pytest.raises(Trouble) as caught:
            await Apis(connections, TOKEN).reports.live()
    assert caught.value.message == (
        "Reporting does not answer at http://127.0.0.1:9. Is it running?"
    )


async def test_no_token_gets_into_the_log(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Connections(settings(stub.url)) as connections:
        for token in (TOKEN, "not-the-token"):
            with pytest.raises(Trouble):
                await Apis(connections, token).profiles.search("ann@example.com", limit=1)
    logged = caplog.text
    assert TOKEN not in logged
    assert "not-the-token" not in logged
