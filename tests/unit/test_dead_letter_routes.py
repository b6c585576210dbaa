"""The API of dead letters while its database is away, and what it makes of odd requests."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo.errors import ConnectionFailure

from services.ingest.dead_letters.desk import Desk
from services.ingest.dead_letters.means import Means
from services.ingest.dead_letters.model import Letter
from services.ingest.dead_letters.routes import router
from services.ingest.sources.model import Source
from services.runtime.http import create_api
from services.runtime.keys import digest
from services.runtime.settings import Settings
from tests.unit.test_dead_letter_rules import NOON, refusal

TOKENS = {"a-support": "support", "a-reader": "reader"}


class Drawer:
    """Letters in memory; without them, a database that is away."""

    def __init__(self, *letters: Letter) -> None:
        self.letters = {one.id: one for one in letters}
        self.races = 0

    async def get(self, id_: str) -> Letter | None:
        if not self.letters:
            raise ConnectionFailure
        return self.letters.get(id_)

    async def page(self, *_: Any) -> list[Letter]:
        raise ConnectionFailure

    async def change(self, letter: Letter) -> bool:
        if self.races:
            self.races -= 1
            return False
        self.letters[letter.id] = letter
        return True


def client_of(drawer: Drawer, *, started: bool = True) -> httpx.AsyncClient:
    tokens = {digest(token): role for token, role in TOKENS.items()}
    app = create_api(name="ingest", summary="", settings=Settings(tokens=tokens), lifespan=None)
    app.include_router(router)
    if started:
        desk = Desk(drawer, lambda name: Source(name=name), lambda: NOON)  # type: ignore[arg-type]
        app.state.dead_letters = Means(drawer, desk)  # type: ignore[arg-type]
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://ingest/v1/dead-letters",
        headers={"Authorization": "Bearer a-support"},
    )


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(Drawer(refusal())) as client:
        yield client


async def test_without_its_database_it_says_when_to_come_again() -> None:
    async with client_of(Drawer()) as client:
        for answer in (await client.get("/abc"), await client.post("/abc/replay")):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json()["code"] == "storage_unavailable"
    async with client_of(Drawer(), started=False) as client:
        assert (await client.get("/abc")).status_code == 503


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/abc/replay", b"{", 422),
        ("/abc/replay", b'{"body": NaN}', 422),
        ("/abc/replay", b'{"body": {"a": NaN}}', 400),
        ("/abc/replay", b'{"body": {"a": "\\ud800"}}', 400),
        ("/abc/replay", b'{"body": 7}', 422),
        ("/abc/replay", b'{"unknown": 1}', 422),
        ("/abc/replay", b'{"body": {"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}", 400),
        ("/replay", b'{"filter": {"reason": "x"}, "cursor": "?"}', 400),
        ("/replay", b'{"filter": {"reason": "x"}, "patch": 7}', 422),
        ("/replay", b'{"filter": {"reason": "x"}, "limit": 501}', 422),
        ("/replay", b'{"filter": {"reason": "x"}, "expression": "a ["}', 422),
        ("/replay", b'{"filter": {"reason": "x"}, "expression": "@", "patch": []}', 422),
        ("/replay", b'{"filter": {}, "expression": "@"}', 422),
        ("/dismiss", b'{"filter": {}}', 422),
        ("/dismiss", b'{"filter": {"state": ["open"]}}', 422),
        ("/dismiss", b"{}", 422),
        ("/erase", b'{"identifiers": []}', 422),
        ("/erase", b'{"identifiers": [{"type": "", "value": "x"}]}', 422),
    ],
)
async def test_what_is_no_request_is_a_problem(
    client: httpx.AsyncClient, path: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text


async def test_whoever_loses_a_race_judges_again_what_there_is_now() -> None:
    drawer = Drawer(refusal({"type": "page", "userId": "u"}))
    drawer.races = 3
    async with client_of(drawer) as client:
        assert (await client.post("/abc/replay")).status_code == 202
        again = await client.post("/abc/replay")
    assert (again.status_code, again.json()["code"]) == (409, "replaying")
    assert drawer.letters["abc"].version == 1


async def test_what_is_done_with_is_not_asked_for_by_naming_its_state(
    client: httpx.AsyncClient,
) -> None:
    done = {"filter": {"reason": "x", "state": ["replayed", "erased"]}}  # no letter is looked for
    replayed, dismissed = (
        await client.post("/replay", json=done),
        await client.post("/dismiss", json=done),
    )
    assert (replayed.status_code, replayed.json()["letters"]) == (202, [])
    assert (dismissed.status_code, dismissed.json()) == (200, {"dismissed": 0})


async def test_readers_see_no_content_and_do_nothing() -> None:
    async with client_of(Drawer(refusal())) as client:
        client.headers["Authorization"] = "Bearer a-reader"
        whole = (await client.get("/abc")).json()
        assert "content" not in whole
        assert (await client.post("/abc/dismiss")).status_code == 403
        assert (await client.post("/dismiss", json={"filter": {}})).status_code == 403
        client.headers["Authorization"] = "Bearer nobody"
        assert (await client.get("/abc")).status_code == 401
