"""The profile API's webhook subscriptions, as typed calls. All of them need an admin's token."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.console.answers import Page
from services.console.service import Service, part_of
from services.console.subscribed import Attempt, Secret, Subscription, Tested


class Webhooks(Service):
    """Who gets what changes by webhook."""

    async def subscriptions(self) -> list[Subscription]:
        return await self._all("/v1/subscriptions", Subscription)

    async def subscription(self, id_: str) -> Subscription:
        return await self.get(_path(id_), Subscription)

    async def attempts(self, id_: str) -> list[Attempt]:
        """The last ones, newest first."""
        return (await self.get(f"{_path(id_)}/deliveries", Page[Attempt])).items

    async def subscribe(self, body: Mapping[str, Any]) -> Secret:
        return await self.post("/v1/subscriptions", Secret, msgspec.json.encode(body))

    async def switch(self, id_: str, *, on: bool) -> None:
        await self.change("PATCH", _path(id_), {"enabled": on})

    async def test(self, id_: str) -> Tested:
        return await self.post(f"{_path(id_)}/test", Tested)

    async def rotate(self, id_: str) -> Secret:
        return await self.post(f"{_path(id_)}/secrets", Secret)

    async def replay(self, id_: str, since: datetime) -> None:
        await self.change("POST", f"{_path(id_)}/replay", {"since": since.isoformat()})


def _path(id_: str) -> str:
    return f"/v1/subscriptions/{part_of(id_)}"
