"""Sending events to ingest as a storefront's server would: in batches, until they are taken."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from deploy.demo.environment import WRITE_KEY
from deploy.local.errors import StackError

_PATIENCE_S = 60.0
_TIMEOUT_S = 15.0


class Sender:
    """A client of ingest with ``connections`` kept open. Sending again is harmless: messageId."""

    def __init__(self, url: str, connections: int = 2) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=httpx.BasicAuth(WRITE_KEY, ""),
            headers={"Content-Type": "application/json"},
            limits=httpx.Limits(max_connections=connections),
            timeout=_TIMEOUT_S,
            trust_env=False,
        )
        self._encode = msgspec.json.Encoder(decimal_format="string").encode

    async def send(self, events: Sequence[dict[str, Any]]) -> None:
        """Returns when ingest has them all.

        While it is away or asks to wait, they are sent again, up to a minute. StackError
        then, or when it refuses any.
        """
        body = self._encode({"batch": events})
        end = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            said, pause = await self._try(body)
            if pause is None:
                return
            if asyncio.get_running_loop().time() > end:
                raise StackError(f"ingest at {self._client.base_url} takes no events: {said}")
            await asyncio.sleep(pause)

    async def _try(self, body: bytes) -> tuple[str, float | None]:
        """(what it said, seconds to wait before trying again; None: it was taken)."""
        try:
            response = await self._client.post("/v1/batch", content=body)
        except httpx.TransportError as error:
            return type(error).__name__, 0.25
        if response.status_code in (429, 503):
            return response.text[:200], float(response.headers.get("Retry-After", 1))
        if response.is_error:
            raise StackError(f"ingest answered {response.status_code}: {response.text[:200]}")
        rejected = response.json()["rejected"]
        if rejected:
            raise StackError(f"ingest refused {len(rejected)} events, the first: {rejected[0]}")
        return "", None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
