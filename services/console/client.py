"""The APIs that the pages ask, as typed calls, and the connections to them."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from ssl import SSLContext
from typing import Any, Self

import httpx
import msgspec

from services.console import answers, reported
from services.console.answers import Page
from services.console.arrivals import Activity, MadeKey, Sighting, Source
from services.console.identities import Identities
from services.console.refused import Dismissed, Rejection, RejectionCounts, Verdict
from services.console.service import Params, Service, Trouble, part_of
from services.console.settings import ConsoleSettings
from services.console.statements import Recorded, Statement
from services.console.webhooks import Webhooks

__all__ = ["Apis", "Connections", "Trouble"]


class Profiles(Service):
    """Who somebody is, and what is known of them."""

    async def search(self, query: str, limit: int, cursor: str = "") -> Page[answers.Profile]:
        return await self.get(
            "/v1/profiles", Page[answers.Profile], query=query, limit=limit, cursor=cursor
        )

    async def profile(self, profile_id: str, at: str = "") -> answers.Profile:
        """``at``: a past instant, as RFC 3339; empty: now."""
        return await self.get(f"/v1/profiles/{part_of(profile_id)}", answers.Profile, at=at)

    async def identity(self, profile_id: str) -> answers.Identity:
        return await self.get(f"/v1/profiles/{part_of(profile_id)}/identity", answers.Identity)

    async def consent(self, profile_id: str, limit: int) -> Page[Statement]:
        path = f"/v1/profiles/{part_of(profile_id)}/consent"
        return await self.get(path, Page[Statement], limit=limit)

    async def record_consent(self, profile_id: str, said: Mapping[str, Any], key: str) -> Recorded:
        """Once for each ``key``, however often it is tried."""
        path = f"/v1/profiles/{part_of(profile_id)}/consent"
        headers = {"Idempotency-Key": key}
        return self._decoded(await self._call("POST", path, headers, json=said), Recorded)

    async def interactions(
        self, profile_id: str, limit: int, cursor: str = ""
    ) -> Page[answers.Interaction]:
        path = f"/v1/profiles/{part_of(profile_id)}/interactions"
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
        return await self.get(f"/v1/dead-letters/{part_of(id_)}", Rejection)

    async def replay(self, id_: str, body: str | None, *, dry: bool) -> Verdict:
        """``body``: JSON in place of its own, sent verbatim."""
        said = b'{"dry_run": true' if dry else b'{"dry_run": false'
        content = said + (b', "body": ' + body.encode() if body is not None else b"") + b"}"
        path = f"/v1/dead-letters/{part_of(id_)}/replay"
        return await self.post(path, Verdict, content)

    async def dismiss(self, id_: str) -> Rejection:
        return await self.post(f"/v1/dead-letters/{part_of(id_)}/dismiss", Rejection)

    async def dismiss_all(
        self, wanted: Mapping[str, str | Sequence[str]], *, dry: bool = False
    ) -> int:
        """Dismiss what is open of those; returns how many they are. ``dry``: only count."""
        content = msgspec.json.encode({"filter": wanted, "dry_run": dry})
        return (await self.post("/v1/dead-letters/dismiss", Dismissed, content)).dismissed


class Segments(Service):
    """Who is in which segment, and why."""

    async def segments(self) -> list[answers.Segment]:
        return await self._all("/v1/segments", answers.Segment)

    async def memberships(self, profile_id: str) -> list[answers.Membership]:
        path = f"/v1/profiles/{part_of(profile_id)}/segments"
        return (await self.get(path, Page[answers.Membership])).items

    async def explain(self, segment: str, profile_id: str) -> answers.Explanation:
        path = f"/v1/segments/{part_of(segment)}/members/{part_of(profile_id)}/explain"
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

    async def tables(self) -> list[reported.TableInfo]:
        return await self._all("/v1/tables", reported.TableInfo)

    async def table(
        self, name: str, start: str = "", to: str = "", limit: int = 1_000
    ) -> reported.Table:
        asked = {"from": start, "to": to, "limit": limit}
        return await self.get(f"/v1/tables/{part_of(name)}", reported.Table, **asked)  # type: ignore[arg-type]

    async def csv(self, name: str, start: str, to: str) -> httpx.Response:
        asked: Params = {"from": start, "to": to, "format": "csv", "limit": 50_000}
        return await self.fetch(f"/v1/tables/{part_of(name)}", asked)

    async def summary(self, start: str = "", to: str = "") -> reported.Summary:
        return await self.get("/v1/summary", reported.Summary, **{"from": start, "to": to})

    async def live(self) -> reported.Live:
        return await self.get("/v1/live", reported.Live)


class Sources(Service):
    """Who sends events, and what becomes of them. Changes need an admin's token."""

    async def sources(self) -> list[Source]:
        return await self._all("/v1/sources", Source)

    async def source(self, name: str) -> Source:
        return await self.get(f"/v1/sources/{part_of(name)}", Source)

    async def activity(self, name: str, hours: int) -> Activity:
        return await self.get(f"/v1/sources/{part_of(name)}/activity", Activity, hours=hours)

    async def recent(self, name: str) -> list[Sighting]:
        """The newest first. Events are kept only while somebody asks for them."""
        return (await self.get(f"/v1/sources/{part_of(name)}/recent", Page[Sighting])).items

    async def put(self, name: str, body: Mapping[str, Any]) -> None:
        await self.change("PUT", f"/v1/sources/{part_of(name)}", body)

    async def delete(self, name: str) -> None:
        await self.change("DELETE", f"/v1/sources/{part_of(name)}")

    async def switch(self, name: str, *, on: bool) -> None:
        await self.change("POST", f"/v1/sources/{part_of(name)}/{'enable' if on else 'disable'}")

    async def make_key(self, name: str, overlap_seconds: int | None) -> MadeKey:
        body = {"overlap_seconds": overlap_seconds}
        response = await self.change("POST", f"/v1/sources/{part_of(name)}/keys", body)
        return msgspec.json.decode(response.content, type=MadeKey)

    async def delete_key(self, name: str, key_id: str) -> None:
        await self.change("DELETE", f"/v1/sources/{part_of(name)}/keys/{part_of(key_id)}")

    async def set_secret(self, name: str, secret: str, value: str) -> None:
        path = f"/v1/sources/{part_of(name)}/secrets/{part_of(secret)}"
        await self.change("PUT", path, {"value": value})


class Apis:
    """All APIs, asked as one visitor."""

    def __init__(self, connections: "Connections", token: str) -> None:
        self.sources = Sources("Ingest", connections.ingest, token)
        self.rejections = Rejections("Ingest", connections.ingest, token)
        self.profiles = Profiles("Profile", connections.profile, token)
        self.identities = Identities("Profile", connections.profile, token)
        self.webhooks = Webhooks("Profile", connections.profile, token)
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
        return httpx.AsyncClient(
            base_url=url, timeout=self._seconds, trust_env=False, verify=_trusted()
        )


@cache
def _trusted() -> SSLContext:
    """The certificates that are trusted: reading them takes longer than all else at the start."""
    return httpx.create_ssl_context(trust_env=False)
