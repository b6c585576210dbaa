"""The profile API, as the sender asks it for people at the moment of sending.

Those who are asked for at the same time, or while a request is under way, go together in
the next one: an answer always comes from a moment after the question. Over aiohttp, which
the workers carry anyway: a request costs it a tenth of the CPU that httpx takes.
"""

import asyncio

import aiohttp
import msgspec
from msgspec import Raw, Struct

from services.notifier.model import Recipient
from services.notifier.settings import NotifierSettings

_MOST = 500


class ProfilesAway(Exception):
    """No usable answer: nobody may be written to until there is one."""


class _Answer(Struct):
    profiles: dict[str, Raw]


_decoder = msgspec.json.Decoder(_Answer)


class Profiles:
    """A client of the profile API; connected by the first question."""

    def __init__(self, settings: NotifierSettings) -> None:
        token = settings.notifier_profile_token.get_secret_value()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._headers["Content-Type"] = "application/json"
        self._url = f"{settings.notifier_profile_url.rstrip('/')}/v1/profiles/batch"
        self._timeout = aiohttp.ClientTimeout(total=settings.notifier_profile_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._waiting = dict[str, asyncio.Future[Recipient | None]]()
        self._asking: asyncio.Task[None] | None = None

    async def fetch(self, profile_id: str) -> Recipient | None:
        """The person as known now (under the surviving id after a merge); None: nobody.

        Raises ``ProfilesAway`` for anything else, a refused token included.
        """
        future = self._waiting.get(profile_id)
        if future is None:
            future = self._waiting[profile_id] = asyncio.get_running_loop().create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(future)  # others may wait for the same person

    async def close(self) -> None:
        """Close the connection."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _ask(self) -> None:
        """Ask until nobody waits."""
        try:
            await asyncio.sleep(0)  # whoever asks in this round of the loop comes along
            while self._waiting:
                ids = list(self._waiting)[:_MOST]
                futures = {id_: self._waiting.pop(id_) for id_ in ids}
                try:
                    _answer(futures, await self._request(ids))
                except ProfilesAway as error:
                    for future in futures.values():
                        _fail(future, error)
        finally:
            self._asking = None

    async def _request(self, ids: list[str]) -> dict[str, Raw]:
        body = msgspec.json.encode({"profile_ids": ids})
        try:
            async with self._opened().post(self._url, data=body, allow_redirects=False) as response:
                status, answer = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProfilesAway(type(error).__name__) from error
        if status != 200:
            raise ProfilesAway(f"status {status}")
        try:
            return _decoder.decode(answer).profiles
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProfilesAway("answer does not fit") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=1),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _answer(
    futures: dict[str, "asyncio.Future[Recipient | None]"], profiles: dict[str, Raw]
) -> None:
    for id_, future in futures.items():
        if future.done():
            continue
        body = profiles.get(id_)
        try:
            future.set_result(None if body is None else _recipient(body))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            _fail(future, ProfilesAway("answer does not fit"))


def _recipient(body: Raw) -> Recipient:
    answer = msgspec.json.decode(body)
    recipient = msgspec.convert(answer, Recipient)
    recipient.answer = answer
    return recipient


def _fail(future: "asyncio.Future[Recipient | None]", error: ProfilesAway) -> None:
    if not future.done():
        future.set_exception(ProfilesAway(*error.args))
        future.exception()  # whoever asked may be gone
