"""What is no page: logging in and out, and report tables as CSV files."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from services.console.client import Apis, Connections, Trouble
from services.console.sessions import COOKIE, MOST_CHARACTERS, Sessions
from services.console.settings import ConsoleSettings
from services.runtime.http import Problem

Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


@dataclass(frozen=True)
class Desk:
    """What pages and routes work with."""

    settings: ConsoleSettings
    connections: Connections
    sessions: Sessions

    @property
    def shared_token(self) -> str:
        """The token that every visitor gets; empty when people log in."""
        return self.settings.console_token.get_secret_value()

    def apis(self, request: Request) -> Apis | None:
        """The APIs as this visitor may ask them; None when they must log in first."""
        token = self.shared_token or self.sessions.token(request.cookies.get(COOKIE))
        return None if token is None else Apis(self.connections, token)


def local(target: str) -> str:
    """Where to go after logging in: a path of ours, whatever the address said."""
    parts = urlsplit(target)
    ours = target.startswith("/") and not parts.scheme and not parts.netloc
    return target if ours and target.isprintable() and "\\" not in target else "/"


def create(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        _demand_own_page(request)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        token = form.get("token", [""])[0].strip()
        reason = await _refusal(desk, token)
        if reason:
            return RedirectResponse(f"/login?failed={reason}", 303)
        desk.sessions.close(request.cookies.get(COOKIE))
        answer = RedirectResponse(local(form.get("next", ["/"])[0]), 303)
        answer.set_cookie(
            COOKIE,
            desk.sessions.open(token),
            max_age=int(desk.sessions.seconds),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        _demand_own_page(request)
        desk.sessions.close(request.cookies.get(COOKIE))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    @router.get("/reports/{name}.csv")
    async def download(
        request: Request,
        name: Annotated[str, Path(pattern=r"^[a-z0-9_]{1,60}$")],
        start: Annotated[Day, Query(alias="from")] = "",
        to: Day = "",
    ) -> Response:
        apis = desk.apis(request)
        if apis is None:
            raise Problem(401, "Unauthorized", "Log in first.")
        try:
            answer = await apis.reports.csv(name, start, to)
        except Trouble as trouble:
            raise Problem(trouble.status or 502, "No table", trouble.message) from None
        span = "_".join(part for part in (name, start, to) if part)
        headers = {"Content-Disposition": f'attachment; filename="{span}.csv"'}
        return Response(answer.content, media_type="text/csv", headers=headers)

    return router


async def _refusal(desk: Desk, token: str) -> str:
    """Why this token opens nothing, as a word for the login page; empty: it is good."""
    if not (token.isascii() and token.isprintable() and 0 < len(token) <= MOST_CHARACTERS):
        return "unknown"
    try:
        await Apis(desk.connections, token).profiles.search("", limit=1)
    except Trouble as trouble:
        return "unknown" if trouble.status == 401 else "away"
    return ""


def _demand_own_page(request: Request) -> None:
    """Forms of other sites log nobody in or out."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "Forbidden", "Use the console's own page.")
