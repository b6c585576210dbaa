"""Batches to ingest over HTTP, each until it is acknowledged."""

import asyncio
import gzip
from time import monotonic
from types import TracebackType
from typing import Self

import httpx
import msgspec
from msgspec import Struct

from services.ingest.history.batches import Batch
from services.ingest.history.model import Refusal, Unusable
from services.runtime.backoff import Backoff

PATH = "/v1/import?history=true"
_TIMEOUT_S = 30.0
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class Verdict(Struct):
    """What ingest said of one batch."""

    accepted: int
    duplicates: int
    refused: list[Refusal]


class _Rejected(Struct, rename="camel"):
    index: int
    code: str
    detail: str = ""


class _Answer(Struct):
    accepted: int
    duplicates: int = 0
    rejected: list[_Rejected] = []


_answers = msgspec.json.Decoder(_Answer)


class Sender:
    """A client of ingest that keeps a few connections open.

    Sending again is always right: every event has a messageId. ``patience`` is how many
    seconds it goes on when nothing at all is taken.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        connections: int,
        patience: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise Unusable("--url begins with https:// or http://")
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            auth=httpx.BasicAuth(key, ""),
            headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
            limits=httpx.Limits(max_connections=connections),
            timeout=_TIMEOUT_S,
            transport=transport,
        )
        self._patience = patience
        self._taken_at = monotonic()
        self.trouble = ""
        """Why it is waiting at the moment; "" while all is well."""

    async def send(self, batch: Batch) -> Verdict:
        """Return once ingest has acknowledged the batch; Unusable when it never will."""
        if not batch.made:
            return Verdict(0, 0, [])
        body = gzip.compress(batch.body, compresslevel=1)
        backoff = Backoff(first=0.25, cap=10.0)
        started = monotonic()
        while True:
            said, pause = await self._try(body, batch)
            if isinstance(said, Verdict):
                self._taken_at, self.trouble = monotonic(), ""
                return said
            self.trouble = said
            if monotonic() - max(started, self._taken_at) > self._patience:
                raise Unusable(f"ingest at {self.url} takes no events: {said}")
            await asyncio.sleep(max(pause, backoff.next()))

    async def _try(self, body: bytes, batch: Batch) -> tuple[Verdict | str, float]:
        """The verdict; or why there is none yet, and the seconds to wait at least."""
        try:
            answer = await self._client.post(self.url + PATH, content=body)
        except httpx.InvalidURL as error:
            raise Unusable(f"--url: {error}") from error
        except httpx.RequestError as error:
            return f"{type(error).__name__} {error}".strip(), 0.0
        if answer.status_code == 200:
            return _verdict(answer.content, batch), 0.0
        said = f"{answer.status_code} {_detail(answer)}"
        if answer.status_code in _AGAIN:
            return said, _retry_after(answer)
        if answer.status_code in (401, 403):
            raise Unusable(f"ingest at {self.url} does not take this write key: {said}")
        raise Unusable(f"ingest at {self.url} answered {said}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()


def _verdict(content: bytes, batch: Batch) -> Verdict:
    try:
        said = _answers.decode(content)
        refused = [
            Refusal(made.line, each.code, each.detail, message_id=made.message_id)
            for each in said.rejected
            for made in (batch.made[each.index],)
        ]
    except (msgspec.MsgspecError, IndexError) as error:
        raise Unusable(f"this is no ingest: its answer does not fit ({error})") from error
    return Verdict(said.accepted, said.duplicates, refused)


def _retry_after(answer: httpx.Response) -> float:
    try:
        return min(300.0, max(0.0, float(answer.headers.get("Retry-After", "0"))))
    except ValueError:
        return 0.0  # A date: our own backoff will do.


def _detail(answer: httpx.Response) -> str:
    """The sentence of a problem document, or the beginning of whatever came."""
    try:
        said = answer.json()
    except ValueError:
        return answer.text[:200]
    return str(said.get("detail", said))[:300] if isinstance(said, dict) else str(said)[:200]
