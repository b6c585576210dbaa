"""The APIs that the pages ask, as typed calls; whatever goes wrong becomes a ``Trouble``.

Each call carries the visitor's token and is logged nowhere: tokens and people's names stay out
of the logs.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from services.console import answers
from services.console.answers import Page
from services.console.arrivals import Activity, MadeKey, Sighting, Source
from services.console.refused import Rejection, RejectionCounts, Verdict
from services.console.settings import ConsoleSettings

T = TypeVar("T")
Params = Mapping[str, str | int | list[str] | None]
_MEMBERS = 200
_PAGES = 20


class Trouble(Exception):
    """Why an API gave no answer, in words for the person before the screen."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        """The HTTP status, or 0 when nothing came back."""


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class Service:
    """One API. ``name`` is what people call it; the token goes with each call."""

    def __init__(self, name: str, http: httpx.AsyncClient, token: str) -> None:
        self._name = name
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, of: type[T], **params: str | int | list[str] | None) -> T:
        """GET ``path`` as an ``of``; parameters that are None or empty are left out."""
        return self._decoded(await self.fetch(path, params), of)

    def _decoded(self, response: httpx.Response, of: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=of, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError):
            said = f"{self._name} answered with something that this console does not understand."
            raise Trouble(f"{said} Are both of the same version?", response.status_code) from None

    async def post(self, path: str, of: type[T], content: bytes = b"") -> T:
        """POST JSON to ``path``; the answer as an ``of``."""
        headers = {"Content-Type": "application/json"} if content else {}
        return self._decoded(await self._call("POST", path, content=content, headers=headers), of)

    async def fetch(self, path: str, params: Params) -> httpx.Response:
        """A successful answer, undecoded; Trouble otherwise."""
        given = {name: value for name, value in params.items() if value not in (None, "", [])}
        return await self._call("GET", path, params=given)

    async def change(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """The answer to a change; Trouble otherwise."""
        return await self._call(method, path, json=body)

    async def _call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        headers = {**self._headers, **(headers or {})}
        try:
            response = await self._http.request(method, path, headers=headers, **request)
        except httpx.TimeoutException:
            raise Trouble(f"{self._name} takes too long to answer. It may be busy.") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            where = self._http.base_url
            raise Trouble(f"{self._name} does not answer at {where}. Is it running?") from None
        if not response.is_success:
            raise self._trouble(response, "see" if method == "GET" else "do")
        return response

    async def _all(self, path: str, of: type[T]) -> list[T]:
        """Every item of a list that is short by nature (definitions)."""
        items: list[T] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self.get(path, Page[of], limit=_MEMBERS, cursor=cursor)  # type: ignore[valid-type]
            items += page.items
            cursor = page.next
            if cursor is None:
                break
        return items

    def _trouble(self, response: httpx.Response, what: str) -> Trouble:
        status = response.status_code
        if status == 401:
            return Trouble(f"{self._name} does not accept this token.", status)
        if status == 403:
            return Trouble(f"{self._name} does not let this token's role {what} this.", status)
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            problem = _Problem()
        said = problem.detail or problem.title or response.reason_phrase
        return Trouble(f"{self._name}: {said}" if said else f"{self._name} failed.", status)


class Profiles(Service):
    """Who somebody is, and what is known of them."""

    async def search(self, query: str, limit: int, cursor: str = "") -> Page[answers.Profile]:
        return await self.get(
            "/v1/profiles", Page[answers.Profile], query=query, limit=limit, cursor=cursor
        )

    async def profile(self, profile_id: str) -> answers.Profile:
        return await self.get(f"/v1/profiles/{_part(profile_id)}", answers.Profile)

    async def identity(self, profile_id: str) -> answers.Identity:
        return await self.get(f"/v1/profiles/{_part(profile_id)}/identity", answers.Identity)

    async def interactions(
        self, profile_id: str, limit: int, cursor: str = ""
    ) -> Page[answers.Interaction]:
        path = f"/v1/profiles/{_part(profile_id)}/interactions"
        return await self.get(path, Page[answers.Interaction], limit=limit, cursor=cursor)


class Rejections(Service):
    """What was refused, and sending it again."""

    async def list(
        self, limit: int, cursor: str = "", **wanted: str | list[str]
    ) -> Page[Rejection]:
        return await self.get(
            "/v1/dead-letters", Page[Rejection], limit=limit, cursor=cursor, **wanted
        )

    async def counts(self, start: str, **wanted: str) -> RejectionCounts:
        asked = {"from": start, **wanted}
        return await self.get("/v1/dead-letters/counts", RejectionCounts, **asked)

    async def rejection(self, id_: str) -> Rejection:
        return await self.get(f"/v1/dead-letters/{_part(id_)}", Rejection)

    async def replay(self, id_: str, body: str | None, *, dry: bool) -> Verdict:
        """``body``: JSON in place of its own, sent verbatim."""
        said = b'{"dry_run": true' if dry else b'{"dry_run": false'
        content = said + (b', "body": ' + body.encode() if body is not None else b"") + b"}"
        path = f"/v1/dead-letters/{_part(id_)}/replay"
        return await self.post(path, Verdict, content)

    async def dismiss(self, id_: str) -> Rejection:
        return await self.post(f"/v1/dead-letters/{_part(id_)}/dismiss", Rejection)


class Segments(Service):
    """Who is in which segment, and why."""

    async def segments(self) -> list[answers.Segment]:
        return await self._all("/v1/segments", answers.Segment)

    async def memberships(self, profile_id: str) -> list[answers.Membership]:
        path = f"/v1/profiles/{_part(profile_id)}/segments"
        return (await self.get(path, Page[answers.Membership])).items

    async def explain(self, segment: str, profile_id: str) -> answers.Explanation:
        path = f"/v1/segments/{_part(segment)}/members/{_part(profile_id)}/explain"
        return await self.get(path, answers.Explanation)


class Messages(Service):
    """What was said to whom, and why not."""

    async def campaigns(self) -> list[answers.Campaign]:
        return await self._all("/v1/campaigns", answers.Campaign)

    async def messages(self, profile_ids: list[str], limit: int) -> Page[answers.Message]:
        return await self.get(
            "/v1/messages", Page[answers.Message], profile_id=profile_ids, limit=limit
        )


class Reports(Service):
    """Report tables and totals. Days are ISO dates, in UTC, included."""

    async def tables(self) -> list[answers.TableInfo]:
        return await self._all("/v1/tables", answers.TableInfo)

    async def table(
        self, name: str, start: str = "", to: str = "", limit: int = 1_000
    ) -> answers.Table:
        asked = {"from": start, "to": to, "limit": limit}
        return await self.get(f"/v1/tables/{_part(name)}", answers.Table, **asked)  # type: ignore[arg-type]

    async def csv(self, name: str, start: str, to: str) -> httpx.Response:
        asked: Params = {"from": start, "to": to, "format": "csv", "limit": 50_000}
        return await self.fetch(f"/v1/tables/{_part(name)}", asked)

    async def summary(self, start: str = "", to: str = "") -> answers.Summary:
        return await self.get("/v1/summary", answers.Summary, **{"from": start, "to": to})

    async def live(self) -> answers.Live:
        return await self.get("/v1/live", answers.Live)


class Sources(Service):
    """Who sends events, and what becomes of them. Changes need an admin's token."""

    async def sources(self) -> list[Source]:
        return await self._all("/v1/sources", Source)

    async def source(self, name: str) -> Source:
        return await self.get(f"/v1/sources/{_part(name)}", Source)

    async def activity(self, name: str, hours: int) -> Activity:
        return await self.get(f"/v1/sources/{_part(name)}/activity", Activity, hours=hours)

    async def recent(self, name: str) -> list[Sighting]:
        """The newest first. Events are kept only while somebody asks for them."""
        return (await self.get(f"/v1/sources/{_part(name)}/recent", Page[Sighting])).items

    async def put(self, name: str, body: Mapping[str, Any]) -> None:
        await self.change("PUT", f"/v1/sources/{_part(name)}", body)

    async def delete(self, name: str) -> None:
        await self.change("DELETE", f"/v1/sources/{_part(name)}")

    async def switch(self, name: str, *, on: bool) -> None:
        await self.change("POST", f"/v1/sources/{_part(name)}/{'enable' if on else 'disable'}")

    async def make_key(self, name: str, overlap_seconds: int | None) -> MadeKey:
        body = {"overlap_seconds": overlap_seconds}
        response = await self.change("POST", f"/v1/sources/{_part(name)}/keys", body)
        return msgspec.json.decode(response.content, type=MadeKey)

    async def delete_key(self, name: str, key_id: str) -> None:
        await self.change("DELETE", f"/v1/sources/{_part(name)}/keys/{_part(key_id)}")

    async def set_secret(self, name: str, secret: str, value: str) -> None:
        path = f"/v1/sources/{_part(name)}/secrets/{_part(secret)}"
        await self.change("PUT", path, {"value": value})


class Apis:
    """All APIs, asked as one visitor."""

    def __init__(self, connections: "Connections", token: str) -> None:
        self.sources = Sources("Ingest", connections.ingest, token)
        self.rejections = Rejections("Ingest", connections.ingest, token)
        self.profiles = Profiles("Profile", connections.profile, token)
        self.segments = Segments("Segmentation", connections.segmentation, token)
        self.messages = Messages("Notifier", connections.notifier, token)
        self.reports = Reports("Reporting", connections.reporting, token)


class Connections:
    """Connections to the APIs, shared by all visitors; an async context manager."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._seconds = settings.console_seconds
        self.ingest = self._http(settings.console_ingest_url)
        self.profile = self._http(settings.console_profile_url)
        self.segmentation = self._http(settings.console_segmentation_url)
        self.notifier = self._http(settings.console_notifier_url)
        self.reporting = self._http(settings.console_reporting_url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: Any) -> None:
        apis = (self.ingest, self.profile, self.segmentation, self.notifier, self.reporting)
        async with AsyncExitStack() as closing:
            for http in apis:
                closing.push_async_callback(http.aclose)

    def _http(self, url: str) -> httpx.AsyncClient:
        # Not through a proxy of the environment: these are our own services.
        return httpx.AsyncClient(base_url=url, timeout=self._seconds, trust_env=False)


def _part(value: str) -> str:
    """A value as one part of a path."""
    return quote(value, safe="")
