"""What the tests of webhooks share: a team's endpoint, and the worker that sends to it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from cryptography.fernet import Fernet
from pydantic import SecretStr

from services.profile.api import create_app
from services.profile.settings import ProfileSettings
from services.runtime.keys import digest
from services.runtime.publish import Publisher
from services.runtime.turn import Message
from tests.faults.cluster import Cluster, unique_namespace

KEY = Fernet.generate_key().decode()
CHANGED = "regulars.profile.changed.v1"
ERASED = "regulars.profile.erased.v1"
PATIENCE_S = 60.0
"""A worker takes its time to start on a busy machine."""
ENTERED = "regulars.segment.entered.v1"


class Endpoint:
    """A team's server: keeps what it got, answers what ``answer`` says (200 by default)."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[dict[str, Any]], Any] = lambda body: 200
        self._changed = asyncio.Event()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    @property
    def said(self) -> list[tuple[str, int]]:
        """(profile id, version) of each request, in its order."""
        return [
            (body["data"]["profile_id"], body["data"].get("version", 0)) for body in self.bodies
        ]

    def said_of(self, profile_id: str) -> list[int]:
        """The versions of one person, as they came."""
        return [version for id, version in self.said if id == profile_id]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    async def until(self, holds: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Return once ``holds``, looking after each request."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, body))
        self._changed.set()
        answer = self.answer(json.loads(body))
        if asyncio.iscoroutine(answer):
            answer = await answer
        return web.Response(status=answer)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Endpoint"]:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{port}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()


class Feeding:
    """The real worker on real servers, the API beside it, and what build would publish."""

    def __init__(self, stack: Any, logs: Path) -> None:
        self.cluster = Cluster(stack, unique_namespace(), logs, publish_within_s=3_600)
        self.settings = ProfileSettings(
            kafka_url=stack.kafka_url,
            mongo_url=stack.mongo_url,
            namespace=self.cluster.settings.namespace,
            tokens={digest("admin"): "admin", digest("support"): "support"},
            secret_keys=[SecretStr(KEY)],
            webhook_allowed=["127.0.0.1"],
        )
        self.all: dict[str, Any] = {}
        self.some: dict[str, Any] = {}
        self.publisher = Publisher(self.settings, "test")
        self.app = create_app(self.settings)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://profile/v1",
            headers={"Authorization": "Bearer admin"},
        )

    async def open(self) -> None:
        await self.cluster.create_topics(["profile-feed"])
        await self.publisher.start()

    async def close(self) -> None:
        await self.http.aclose()
        await self.publisher.stop()
        self.app.state.client.close()
        await self.cluster.close()

    def start(self, **env: str) -> Any:
        """The worker as a process."""
        argv = [sys.executable, "-m", "services.cli", "worker", "profile-feed"]
        given = {
            "profile_feed_worker_port": "0",
            "secret_keys": json.dumps([KEY]),
            "webhook_allowed": '["127.0.0.1"]',
            "webhook_retry_first_seconds": "0.05",
            "webhook_retry_cap_seconds": "0.2",
            **env,
        }
        return self.cluster.start(argv, **given)

    async def subscribe(self, endpoint: Endpoint, **body: Any) -> dict[str, Any]:
        """A new subscription, with its secret."""
        answer = await self.http.post("/subscriptions", json={"url": endpoint.url, **body})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def shown(self, subscription: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.get(f"/subscriptions/{subscription['id']}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def becomes(self, subscription: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The subscription once it shows these fields."""
        async with asyncio.timeout(PATIENCE_S):
            while not (shown := await self.shown(subscription)).items() >= fields.items():
                await asyncio.sleep(0.05)
        return shown

    async def logged(
        self, subscription: dict[str, Any], webhook_id: str, attempts: int
    ) -> list[dict[str, Any]]:
        """The log of one webhook once it has so many lines, newest first."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.http.get(f"/subscriptions/{subscription['id']}/deliveries")
                found = [one for one in answer.json()["items"] if one["webhook_id"] == webhook_id]
                if len(found) == attempts:
                    return found
                await asyncio.sleep(0.05)

    async def owned_by(self, workers: int) -> None:
        """Wait until so many workers share the partitions of what is told of profiles."""
        checkpoints = self.cluster.database("profile")["checkpoints"]
        group = f"^{self.settings.namespace}profile-feed/profile.changes/".replace(".", "[.]")
        async with asyncio.timeout(PATIENCE_S):
            while len(await checkpoints.distinct("session", {"_id": {"$regex": group}})) < workers:
                await asyncio.sleep(0.05)

    async def lanes_behind(self) -> int:
        """In how many partitions somebody has fallen behind, once there is one."""
        lanes = self.cluster.database("profile")["lanes"]
        async with asyncio.timeout(PATIENCE_S):
            while not (count := await lanes.count_documents({"behind": True})):
                await asyncio.sleep(0.05)
        return int(count)

    async def changes(self, *people: tuple[str, int], names: tuple[str, ...] = ()) -> None:
        """Versions of profiles, as build publishes them."""
        for profile_id, version in people:
            await self.publish(
                "profile.changes",
                profile_id,
                {
                    "profile_id": profile_id,
                    "version": version,
                    "changed_at": "2026-03-01T12:00:00Z",
                    "cause": {"message_id": "m", "name": "Identify", "at": "2026-03-01T12:00:00Z"},
                    "changed": list(names) or ["traits.plan"],
                    "profile": {"profile_id": profile_id, "traits": {"plan": "gold"}},
                },
                CHANGED,
                f"{profile_id}/{version}",
            )

    async def publish(
        self, topic: str, key: str, value: dict[str, Any] | None, type: str, id: str
    ) -> None:
        """One record."""
        message = Message(
            topic=topic,
            key=key,
            value=None if value is None else json.dumps(value).encode(),
            type=type,
            id=id,
            time=datetime(2026, 3, 1, 12, tzinfo=UTC),
        )
        await self.publisher.send(message)


def ago(seconds: float) -> str:
    """An instant of the past, as the API takes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
