"""Tells NiceGUI of every page: who may see it, its frame, and what stands there when it fails."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from fastapi import Request
from nicegui import Client, app, ui
from nicegui.page import page
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from services.console import theme
from services.console.client import Trouble
from services.console.elements import Text, banner, empty, link
from services.console.pages import (
    campaigns,
    customer,
    customers,
    login,
    overview,
    rejected,
    rejection,
    report,
    reports,
    segments,
    source,
    sources,
    suggestion,
    suggestions,
    webhook,
    webhooks,
)
from services.console.pages.visit import Visit
from services.console.routes import Desk
from services.console.sessions import COOKIE

_BUILD_S = 30.0
Build = Callable[[Visit], Awaitable[None]]


def register(desk: Desk) -> None:
    """Have NiceGUI serve every page."""
    _add(desk, "/", overview.TITLE, overview.build)
    _add(desk, "/customers", customers.TITLE, customers.build)
    _add(desk, "/customers/{profile_id}", customer.TITLE, customer.build)
    _add(desk, "/suggestions", suggestions.TITLE, suggestions.build)
    _add(desk, "/suggestions/{id}", suggestion.TITLE, suggestion.build)
    _add(desk, "/segments", segments.TITLE, segments.build)
    _add(desk, "/campaigns", campaigns.TITLE, campaigns.build)
    _add(desk, "/reports", reports.TITLE, reports.build)
    _add(desk, "/reports/{name}", report.TITLE, report.build)
    _add(desk, "/sources", sources.TITLE, sources.build)
    _add(desk, "/sources/{name}", source.TITLE, source.build)
    _add(desk, "/rejected", rejected.TITLE, rejected.build)
    _add(desk, "/rejected/{id}", rejection.TITLE, rejection.build)
    _add(desk, "/webhooks", webhooks.TITLE, webhooks.build)
    _add(desk, "/webhooks/{id}", webhook.TITLE, webhook.build)

    async def show_login(request: Request) -> Response | None:
        if desk.shared_token:
            return RedirectResponse("/", 303)
        with theme.frame(None):
            login.build(request.query_params)
        return None

    ui.page("/login", title=theme.title(login.TITLE))(show_login)
    app.add_exception_handler(404, _lost)


def _add(desk: Desk, path: str, title: str, build: Build) -> None:
    active = f"/{path.split('/')[1]}"

    async def show(request: Request) -> Response | None:
        apis = desk.apis(request)
        if apis is None:
            return _to_login(request)
        visit = Visit(apis, desk.settings, request.path_params, request.query_params)
        with theme.frame(active, can_leave=not desk.shared_token):
            try:
                await build(visit)
            except Trouble as trouble:
                if trouble.status == 401 and not desk.shared_token:
                    desk.sessions.close(request.cookies.get(COOKIE))
                    return _to_login(request)
                _explain(trouble, title)
        return None

    ui.page(path, title=theme.title(title), response_timeout=_BUILD_S)(show)


def _to_login(request: Request) -> Response:
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(asked, safe='')}", 303)


def _explain(trouble: Trouble, title: str) -> None:
    """In place of the page: what went wrong."""
    client = ui.context.client
    if not any(element.tag == "h1" for element in client.elements.values()):
        Text("h1", title)
    client.status_code = 404 if trouble.status == 404 else 502
    banner(trouble.message)
    link("Try again", "", "button")


async def _lost(request: Request, error: Exception) -> Response:
    """The answer to an address that is none."""
    if request.url.path.startswith("/_nicegui"):
        return PlainTextResponse("Not Found", 404)
    with Client(page(""), request=request) as client:
        ui.page_title(theme.title("Not found"))
        with theme.frame(""):
            Text("h1", "There is no such page")
            empty("The address may be mistyped, or the page may have moved.")
            link("Go to the overview", "/", "button")
    return client.build_response(request, 404)
