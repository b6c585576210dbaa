"""The frame of every API: problems, roles, pages, limits."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from pymongo import errors as mongo

from services.runtime.http import Page, create_api, decode_cursor, encode_cursor, require
from services.runtime.keys import Keyring, digest
from services.runtime.problem import Problem
from services.runtime.settings import Settings

ROLES = ("reader", "marketer", "support", "admin")


class Thing(BaseModel):
    size: int


def toy() -> FastAPI:
    settings = Settings(tokens={digest(f"{role}-token"): role for role in ROLES})
    app = create_api(name="toy", summary="A toy.", settings=settings, lifespan=None, max_body=100)

    @app.get("/v1/things/{number}")
    async def read(number: int, cursor: str = "", role: str = require("reader")) -> Page[int]:
        if cursor:
            number = decode_cursor(cursor, int)
        return Page[int](items=[number], next=encode_cursor(number + 1))

    @app.put("/v1/things/{number}")
    async def write(number: int, thing: Thing, role: str = require("marketer")) -> str:
        return role

    @app.get("/v1/secret")
    async def fail() -> None:
        raise RuntimeError("the password is swordfish")

    @app.get("/v1/stored")
    async def ask() -> None:
        raise app.state.trouble

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(toy())
    async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
        yield client


def token(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}-token"}


@pytest.mark.parametrize("role", ROLES)
async def test_everybody_with_a_token_may_read(client: httpx.AsyncClient, role: str) -> None:
    assert (await client.get("/v1/things/1", headers=token(role))).status_code == 200


@pytest.mark.parametrize(
    ("role", "status"), [("reader", 403), ("support", 403), ("marketer", 200), ("admin", 200)]
)
async def test_writing_needs_the_role_or_an_admin(
    client: httpx.AsyncClient, role: str, status: int
) -> None:
    response = await client.put("/v1/things/1", headers=token(role), json={"size": 1})
    assert response.status_code == status
    if status == 403:
        assert "marketer" in response.json()["detail"]


async def test_without_a_known_token_the_answer_says_how_to_send_one(
    client: httpx.AsyncClient,
) -> None:
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic bm8="}):
        response = await client.get("/v1/things/1", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/v1/things/1", 405), ("GET", "/v1/secret", 500)],
)
async def test_every_error_is_a_problem_document(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert {"type", "title", "status", "detail", "instance"} == set(problem)
    assert (response.status_code, problem["status"], problem["instance"]) == (status, status, path)
    assert "swordfish" not in response.text


@pytest.mark.parametrize(
    "trouble",
    [
        mongo.ServerSelectionTimeoutError("swordfish"),
        mongo.AutoReconnect("swordfish"),
        mongo.NotPrimaryError("swordfish"),
        mongo.ExecutionTimeout("swordfish", 50),
        mongo.OperationFailure("swordfish", 11600),
        mongo.PyMongoError("swordfish", error_labels=["RetryableWriteError"]),
    ],
)
async def test_while_the_database_is_away_every_route_says_so_and_when_to_ask_again(
    trouble: Exception,
) -> None:
    app = toy()
    app.state.trouble = trouble
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://toy"
    ) as client:
        response = await client.get("/v1/stored")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The database does not answer. Try again in a few seconds.",
        "instance": "/v1/stored",
        "code": "storage_unavailable",
    }


@pytest.mark.parametrize(
    "bug", [mongo.OperationFailure("unknown operator", 2), mongo.DuplicateKeyError("twice", 11000)]
)
async def test_a_question_that_the_database_refuses_is_a_bug_of_ours(bug: Exception) -> None:
    app = toy()
    app.state.trouble = bug
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://toy"
    ) as client:
        assert (await client.get("/v1/stored")).status_code == 500


async def test_fields_that_do_not_fit_are_listed_without_their_values(
    client: httpx.AsyncClient,
) -> None:
    body = {"size": "ada@shop.example"}
    response = await client.put("/v1/things/1", headers=token("admin"), json=body)
    assert response.status_code == 422
    assert [error["at"] for error in response.json()["errors"]] == ["body.size"]
    assert "ada" not in response.text


async def test_a_page_leads_to_the_next_and_a_foreign_cursor_is_refused(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/v1/things/1", headers=token("reader"))).json()
    following = {"cursor": page["next"]}
    again = await client.get("/v1/things/1", headers=token("reader"), params=following)
    assert again.json()["items"] == [2]
    for cursor in ("!", "AAAA", encode_cursor("text"), "é"):
        foreign = {"cursor": cursor}
        response = await client.get("/v1/things/1", headers=token("reader"), params=foreign)
        assert response.status_code == 400


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.put("/v1/things/1", headers=token("admin"), content=b" " * 101)
    assert response.status_code == 413


async def test_the_document_tells_of_problems_and_tokens(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/things/{number}"]["get"]
    assert operation["security"] == [{"HTTPBearer": []}]
    for status in ("401", "403", "422", "default"):
        assert "application/problem+json" in operation["responses"][status]["content"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_a_keyring_knows_its_keys_and_no_others() -> None:
    ring = Keyring({digest("one").upper(): "first", digest("two"): "second"})
    assert [ring.find(key) for key in ("one", "two", "three", "", "\ud83d")] == [
        "first",
        "second",
        None,
        None,
        None,
    ]


def test_a_cursor_that_is_not_ours_is_a_problem() -> None:
    with pytest.raises(Problem):
        decode_cursor("bnVsbA", int)
