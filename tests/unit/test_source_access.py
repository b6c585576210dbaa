"""Write keys of published sources at the door of ingest."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.ingest.access import Access
from services.ingest.api import create_app
from services.ingest.sources.directory import Directory
from services.ingest.sources.model import KeyHash, Source
from services.ingest.sources.seals import Seals
from services.runtime.http import Problem
from services.runtime.keys import digest
from tests.ingesting import Published, Shelf, client_of, settings

MORNING = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = {"userId": "u-1", "event": "Product Viewed", "messageId": "m-1"}


def web(**given: Any) -> Source:
    key = KeyHash(id="k", hash=digest("fresh-key"), created_at=MORNING)
    return Source(name="web", **({"keys": (key,)} | given))


async def send(client: httpx.AsyncClient, **how: Any) -> httpx.Response:
    return await client.post("/v1/track", json=EVENT | how.pop("body", {}), **how)


async def test_a_published_key_is_taken_in_all_three_ways() -> None:
    published, shelf = Published(), Shelf()
    published.put(web())
    async with client_of(shelf, None, published) as client:
        for how in (
            {"auth": ("fresh-key", "")},
            {"headers": {"Authorization": "Bearer fresh-key"}},
            {"body": {"writeKey": "fresh-key"}},
        ):
            response = await send(client, **how)
            assert response.status_code == 200, response.text
    assert [value["source"] for value in shelf.values] == ["web"] * 3


async def test_a_key_that_is_taken_away_stops_at_once() -> None:
    published = Published()
    published.put(web())
    async with client_of(Shelf(), None, published) as client:
        assert (await send(client, auth=("fresh-key", ""))).status_code == 200
        published.put(web(keys=()))
        response = await send(client, auth=("fresh-key", ""))
    assert response.status_code == 401
    assert response.json()["code"] == "unknown_write_key"


@pytest.mark.parametrize(
    "how", [{"auth": ("fresh-key", "")}, {"body": {"writeKey": "fresh-key"}}], ids=str
)
async def test_a_disabled_source_is_refused_until_it_is_enabled(how: dict[str, Any]) -> None:
    published, shelf = Published(), Shelf()
    published.put(web(enabled=False))
    async with client_of(shelf, None, published) as client:
        response = await send(client, **dict(how))
        assert response.status_code == 403
        assert response.json() == {
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "detail": "This source is disabled: an admin can enable it.",
            "message": "This source is disabled: an admin can enable it.",
            "instance": "/v1/track",
            "code": "source_disabled",
        }
        assert shelf.events == []
        published.put(web())
        assert (await send(client, **dict(how))).status_code == 200


async def test_attempts_of_a_disabled_source_are_counted_as_its_own() -> None:
    told = list[tuple[str, str]]()
    published = Published()
    published.put(web(enabled=False))
    directory = Directory({}, Seals([]), lambda: MORNING, published)
    access = Access(directory, lambda source, code: told.append((source.name, code)))
    for attempt in (
        lambda: access.by_header("Bearer fresh-key"),
        lambda: access.by_header("Bearer fresh-key"),
        lambda: access.by_key("fresh-key"),
        lambda: access.by_key("nobody's"),
    ):
        with pytest.raises(Problem):
            attempt()
    assert told == [("web", "source_disabled")] * 3


async def test_before_the_sources_are_read_no_key_is_called_unknown() -> None:
    app = create_app(settings(), Shelf())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        response = await send(client, auth=("fresh-key", ""))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        assert response.json()["code"] == "sources_unread"
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["detail"] == "The sources have not been read from Kafka."
