"""Which segments a decision about identity would change: asked of segmentation, over HTTP.

With the token of who asks, so that they learn what they may know and no more. Where it does
not answer, a preview says so and is shown all the same.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import httpx
import msgspec
from msgspec import Struct

from schemas.messages import Profile
from services.profile.build.rules.computed import Traits
from services.profile.identity.preview import Moving, Told, Tried
from services.runtime.http import Problem

MOST = 50
"""Profiles that segmentation takes at once."""
_SECONDS = 8.0
_UNREAD = frozenset({"orders", "carts", "wishlists", "subscriptions", "conversations"})
"""Fields of profiles that are large, and that no segment asks about."""
READ = [name for name in Profile.__struct_fields__ if name not in _UNREAD]
"""The others: what segmentation is told of each person."""


class Verdict(Struct, frozen=True):
    """What segmentation says of one segment and one profile."""

    segment: str
    name: str
    member: bool
    holds: bool | None
    next_flip: datetime | None = None


class _Evaluated(Struct, frozen=True):
    segments: list[Verdict]


class _Answer(Struct, frozen=True):
    profiles: list[_Evaluated]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Answer).decode


class Forecast:
    """What is asked for a preview beside identity itself."""

    def __init__(
        self,
        declared: Callable[[], Awaitable[Traits]],
        url: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._declared = declared
        self._url = url
        self._transport = transport
        self._http: httpx.AsyncClient | None = None

    async def traits(self) -> Traits | None:
        """The computed traits and trusted sources in force; None when they cannot be read."""
        try:
            return await self._declared()
        except Problem:
            return None

    async def segments(self, found: Tried, authorization: str) -> Told:
        """The segments whose members would change. Never raises for what is away."""
        people = [*found.before, *found.after]
        if len(people) > MOST:
            return Told(None, f"Segments are told of up to {MOST} people.")
        if not people:
            return Told([])
        body = _encode({"profiles": [_part(one.profile) for one in people]})
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        try:
            answer = await self._client().post(
                "/v1/segments/evaluate", content=body, headers=headers
            )
            answer.raise_for_status()
            told = [one.segments for one in _decode(answer.content).profiles]
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, UnicodeDecodeError):
            return Told(None, "Segmentation does not answer: which segments change is not known.")
        if len(told) != len(people):
            return Told(None, "Segmentation answered of other people: is it of this version?")
        ids = [one.profile.profile_id for one in people]
        split = len(found.before)
        pairs = list(zip(ids, told, strict=True))
        return moving(pairs[:split], pairs[split:])

    async def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            await self._http.aclose()

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            # Not through a proxy of the environment: it is a service of ours.
            self._http = httpx.AsyncClient(
                base_url=self._url, timeout=_SECONDS, trust_env=False, transport=self._transport
            )
        return self._http


Answers = Sequence[tuple[str, Sequence[Verdict]]]
"""(profile id, every segment), for some people."""


def moving(before: Answers, after: Answers) -> Told:
    """What differs. Where a rule cannot be told of somebody, their membership stays."""
    now: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for id_, verdicts in before:
        for one in verdicts:
            names[one.segment] = one.name
            now.setdefault(one.segment, set())
            if one.member:
                now[one.segment].add(id_)
    then: dict[str, set[str]] = {key: set() for key in now}
    flips: dict[str, datetime] = {}
    unknown: set[str] = set()
    for id_, verdicts in after:
        for one in verdicts:
            names[one.segment] = one.name
            stays = id_ in now.get(one.segment, ())
            if one.holds is None:
                unknown.add(one.segment)
            if stays if one.holds is None else one.holds:
                then.setdefault(one.segment, set()).add(id_)
            if one.next_flip is not None:
                flips[one.segment] = min(one.next_flip, flips.get(one.segment, one.next_flip))
    found = [
        Moving(
            segment=key,
            name=name,
            before=sorted(now.get(key, ())),
            after=sorted(then.get(key, ())),
            until=flips.get(key),
        )
        for key, name in sorted(names.items())
        if now.get(key, set()) != then.get(key, set())
    ]
    return Told(found, _note(unknown, names))


def _note(unknown: set[str], names: Mapping[str, str]) -> str:
    if not unknown:
        return ""
    which = ", ".join(names[key] for key in sorted(unknown))
    return f"Not known yet, since profiles are still being filled in with what it asks: {which}."


def _part(profile: Profile) -> dict[str, object]:
    return {name: getattr(profile, name) for name in READ}
