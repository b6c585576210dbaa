"""Serving an API until a signal ends it; as a rule in this one process.

Granian serves, unless an app brings a server of its own: ``app.state.server`` makes one of a host
and a port, with Granian's ``serve``, ``stop`` and ``interrupt_signal``.

Granian's usual server starts workers as child processes, which doubles the memory of a
small service and leaves an orphan behind when the parent is killed. Its embedded server
runs the same Rust core in our own loop: one process, nothing to leave behind.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import structlog
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from services.runtime import fleet, log
from services.runtime.settings import Settings

logger = structlog.get_logger()


def serve(
    target_factory: str,
    port: int,
    settings: Settings,
    *,
    websockets: bool = False,
    processes: int = 1,
) -> None:
    """Serve what ``target_factory`` (``package.module:function``) makes, on ``settings.host``.

    Returns after SIGTERM or SIGINT, when the app has stopped; exits with 1 when the port is
    taken or the app cannot start.
    """
    log.configure(settings)
    _demand_free(settings.host, port)
    work = partial(_work, target_factory, port, settings, websockets)
    if processes > 1:
        fleet.run(work, processes)
    else:
        work()


def _work(target_factory: str, port: int, settings: Settings, websockets: bool) -> None:
    log.configure(settings)
    module, _, function = target_factory.partition(":")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        app = getattr(import_module(module), function)()
        failed = runner.run(_serve(app, port, settings, websockets))
    if failed:
        sys.exit(1)


async def _serve(app: ASGIApp, port: int, settings: Settings, websockets: bool) -> bool:
    state = getattr(app, "state", None)
    own = getattr(state, "server", None)
    server: Any = (
        own(settings.host, port)
        if own is not None
        else Server(
            app,
            address=settings.host,
            port=port,
            interface=Interfaces.ASGI,
            websockets=websockets,
            log_enabled=False,
            backlog=1024,
            backpressure=1024,
        )
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping = getattr(state, "stopping", None)
        if stopping is not None:
            stopping.set()  # streams end: the server waits for them
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    orphaned = fleet.orphaned()
    if orphaned is not None:
        loop.add_reader(orphaned, _leave, loop, orphaned, stop)
    gc.collect()
    gc.freeze()  # what is loaded now stays: spare the collector from walking it
    logger.info("serving", address=f"http://{settings.host}:{port}")
    await server.serve()
    return not server.interrupt_signal


def _leave(loop: asyncio.AbstractEventLoop, orphaned: int, stop: Callable[[], None]) -> None:
    loop.remove_reader(orphaned)
    stop()


def _demand_free(host: str, port: int) -> None:
    """Exit with one line when somebody serves there: Granian would share the port silently."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        print(f"Cannot listen on {host}:{port}: {error.strerror}.", file=sys.stderr)  # noqa: T201
        sys.exit(1)
