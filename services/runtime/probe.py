"""A worker's own small HTTP server: ``/metrics``, ``/health/live`` and ``/health/ready``."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from faust import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Probe(Service):
    """Serves on ``host:port``; ``not_ready`` gives None, or the reason for a 503."""

    abstract = False

    def __init__(
        self, host: str, port: int, not_ready: Callable[[], str | None], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._host = host
        self._port = port
        self._not_ready = not_ready
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        app = web.Application()
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _ready(self, _request: web.Request) -> web.Response:
        reason = self._not_ready()
        if reason is None:
            return web.json_response({"status": "ready"})
        problem = {"type": "about:blank", "title": "Not ready", "status": 503, "detail": reason}
        return web.json_response(problem, status=503, content_type="application/problem+json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
