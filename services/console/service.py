"""Asking one API over HTTP; whatever goes wrong becomes a ``Trouble``.

Each call carries the visitor's token and is logged nowhere: tokens and people's names stay out
of the logs.
"""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from services.console.answers import Page

T = TypeVar("T")
Params = Mapping[str, str | int | list[str] | None]
_MEMBERS = 200
_NEEDS = "This needs the role "
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
            said = f"{self._name} does not let this token's role {what} this."
            needed = _problem(response).detail
            # Who reads it can only ask for that role; other details say nothing to them.
            return Trouble(f"{said} {needed}" if needed.startswith(_NEEDS) else said, status)
        problem = _problem(response)
        said = problem.detail or problem.title or response.reason_phrase
        return Trouble(f"{self._name}: {said}" if said else f"{self._name} failed.", status)


def _problem(response: httpx.Response) -> _Problem:
    try:
        return msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem()


def part_of(value: str) -> str:
    """A value as one part of a path."""
    return quote(value, safe="")
