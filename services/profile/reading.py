"""One person by an id or an identifier: the reads that come often, straight from the socket.

The routes in ``api`` say what these answer, and answer whatever is asked in another way. Here
stands what is left when nothing unusual is asked: a token, an address, and the same bytes.
"""

import time
from urllib.parse import unquote

from services.profile.people import People
from services.runtime.hot import Asked, Hot, Reply
from services.runtime.http import Answered
from services.runtime.keys import Keyring
from services.runtime.problem import response_to

BY_ID = "/v1/profiles/{profile_id}"
BY_NAME = "/v1/profiles/by/{type}/{value:path}"
"""The routes that these reads are counted under."""
_NAMED = "/v1/profiles/by/"
_ROOT = "/v1/profiles/"
READS = rb"""(?x: /v1/profiles/ (?: (?!export\b) [0-9A-Za-z_-]{1,200} | by
    / [0-9A-Za-z_.-]{1,60}
    / (?: [0-9A-Za-z._~@:+!$&'()*,;=/-] | %40 | %2[BbFf] | %3[Aa] ){1,512} ))"""
"""No query, and nothing that a route would refuse or that is a route of its own."""
_JSON = [(b"content-type", b"application/json")]


class Reading:
    """Answers hot reads of profiles; every role may read."""

    def __init__(self, people: People, tokens: Keyring) -> None:
        self._people = people
        self._tokens = tokens
        self._answered = Answered("profile")

    @property
    def hot(self) -> Hot:
        """For ``express``."""
        return Hot(frozenset(), 0, self._answer, READS)

    async def _answer(self, asked: Asked) -> Reply | None:
        started = time.perf_counter()
        scheme, _, token = asked.authorization.partition(" ")
        if scheme.lower() != "bearer" or self._tokens.find(token.strip()) is None:
            return None  # The app says what is missing.
        path = unquote(asked.path)
        named = path.startswith(_NAMED)
        try:
            reply = Reply(200, _JSON, await self._told(path, named))
        except Exception as error:  # noqa: BLE001 - the last line: a bug becomes a 500
            response = response_to(error, path)
            reply = Reply(response.status_code, response.raw_headers, bytes(response.body))
        seconds = time.perf_counter() - started
        self._answered.count(BY_NAME if named else BY_ID, reply.status, seconds)
        return reply

    async def _told(self, path: str, named: bool) -> bytes:
        if named:
            type, _, value = path[len(_NAMED) :].partition("/")
            return await self._people.told_by(type, value)
        return await self._people.told(path[len(_ROOT) :])
