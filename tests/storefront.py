"""Everything runs, each service a process of its own, for a test that plays a shop."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient

from deploy.demo.addresses import free_ports
from deploy.demo.environment import ADMIN, MARKETER, READER, SUPPORT, WRITE_KEY
from deploy.demo.pipeline import Pipeline
from deploy.demo.supervisor import Supervisor
from tests.faults.cluster import unique_namespace

T = TypeVar("T")
PATIENCE_S = 20.0


class Client:
    """A storefront, a marketer and a reader in one."""

    def __init__(self, regulars: Supervisor) -> None:
        self._regulars = regulars
        self._http = httpx.AsyncClient(timeout=10, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def send(self, events: list[dict[str, Any]], path: str = "/v1/batch") -> dict[str, Any]:
        url = self._regulars.url("ingest") + path
        response = await self._http.post(url, json={"batch": events}, auth=(WRITE_KEY, ""))
        response.raise_for_status()
        return dict(response.json())

    async def put(self, service: str, path: str, body: dict[str, Any]) -> None:
        url = self._regulars.url(service) + path
        headers = {"Authorization": f"Bearer {MARKETER}"}
        (await self._http.put(url, json=body, headers=headers)).raise_for_status()

    async def administer(self, path: str, body: dict[str, Any]) -> None:
        url = self._regulars.url("ingest") + path
        headers = {"Authorization": f"Bearer {ADMIN}"}
        (await self._http.put(url, json=body, headers=headers)).raise_for_status()

    async def hook(self, source: str, body: bytes, headers: dict[str, str]) -> int:
        url = f"{self._regulars.url('ingest')}/v1/hooks/{source}"
        return (await self._http.post(url, content=body, headers=headers)).status_code

    async def get(self, service: str, path: str) -> dict[str, Any] | None:
        """The answer; None for 404."""
        url = self._regulars.url(service) + path
        response = await self._http.get(url, headers={"Authorization": f"Bearer {READER}"})
        if response.status_code == 404:
            return None
        response.raise_for_status()
        return dict(response.json())

    async def act(self, service: str, path: str, body: dict[str, Any]) -> int:
        url = self._regulars.url(service) + path
        headers = {"Authorization": f"Bearer {SUPPORT}"}
        return (await self._http.post(url, json=body, headers=headers)).status_code

    async def tried(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._regulars.url('profile')}{path}?preview=true"
        headers = {"Authorization": f"Bearer {SUPPORT}"}
        return dict((await self._http.post(url, json=body, headers=headers)).json())

    async def key_of_a_new_source(self, name: str, body: dict[str, Any]) -> str:
        url = f"{self._regulars.url('ingest')}/v1/sources/{name}"
        headers = {"Authorization": f"Bearer {ADMIN}"}
        (await self._http.put(url, json=body, headers=headers)).raise_for_status()
        made = await self._http.post(f"{url}/keys", headers=headers)
        return str(made.raise_for_status().json()["key"])

    async def upload(self, key: str, sales: list[dict[str, Any]]) -> dict[str, Any]:
        url = self._regulars.url("ingest") + "/v1/store/sales"
        response = await self._http.post(url, json={"sales": sales}, auth=(key, ""))
        return dict(response.json())

    async def post(self, url: str) -> int:
        data = {"List-Unsubscribe": "One-Click"}
        return (await self._http.post(url, data=data)).status_code

    async def items(self, service: str, path: str) -> list[dict[str, Any]]:
        page = await self.get(service, path)
        return [] if page is None else list(page["items"])


@pytest.fixture(scope="module")
def regulars(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    made = Supervisor(
        tmp_path_factory.mktemp("regulars"),
        ports=free_ports(),
        kafka_url=stack.kafka_url,
        mongo_url=stack.mongo_url,
        namespace=unique_namespace(),
        without={"console"},
        env={"REGULARS_WORKER_NICENESS": "1"},  # no more: other tests may have the processors
    )
    with made:
        yield made
    asyncio.run(_drop(made))


async def _drop(regulars: Supervisor) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(regulars.settings.mongo_url)
    for name in await client.list_database_names():
        if name.startswith(regulars.settings.database("")):
            await client.drop_database(name)
    client.close()


@pytest_asyncio.fixture
async def shop(regulars: Supervisor) -> AsyncIterator[Client]:
    client = Client(regulars)
    yield client
    await client.close()


async def eventually(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """The first answer that is as ``wanted``; fails with the last one."""
    end = time.monotonic() + PATIENCE_S
    while True:
        answer = await ask()
        if wanted(answer):
            return answer
        assert time.monotonic() < end, f"still {answer}"
        await asyncio.sleep(0.05)


async def quiet(regulars: Supervisor) -> None:
    """Until every stage has handled what there is."""
    async with Pipeline(regulars.settings) as pipeline, asyncio.timeout(PATIENCE_S):
        await pipeline.quiet()
