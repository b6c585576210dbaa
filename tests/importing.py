"""What the tests of imports share: a mapping from text, events as dicts, ingest on a port."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from services.ingest.api import create_app
from services.ingest.history.batches import units
from services.ingest.history.files.reading import open_rows
from services.ingest.history.identity import Namer
from services.ingest.history.loading import parse
from services.ingest.history.mapping import Mapper
from services.ingest.history.model import Made, Refusal, Unit, Unread
from tests.ingesting import Published, Shelf, settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def mapped(text: str, *rows: dict[str, Any], columns: Sequence[str] | None = None) -> list[Any]:
    """The events (dicts) and refusals of single rows, by the mapping in ``text``."""
    mapper = Mapper(parse(text, "test.yaml"), Namer("shop"), columns, NOW)
    outcomes = [mapper.make(Unit(line, line, line, row)) for line, row in enumerate(rows, 1)]
    return [said(one) for made in outcomes for one in made]


def imported(path: Path, text: str) -> list[Any]:
    """The events (dicts) and refusals of a whole file."""
    mapping = parse(text, "test.yaml")
    reader = open_rows(path, mapping)
    try:
        mapper = Mapper(mapping, Namer("shop"), reader.columns, NOW)
        return list(_outcomes(units(reader, mapping, (0, 0)), mapper))
    finally:
        reader.close()


def _outcomes(items: Iterable[Unit | Unread], mapper: Mapper) -> Iterable[Any]:
    for item in items:
        if isinstance(item, Unread):
            yield item.line, item.fault.code
        else:
            yield from map(said, mapper.make(item))


def said(outcome: Made | Refusal) -> Any:
    """An event as sent, or (line, code) of what is refused."""
    if isinstance(outcome, Refusal):
        return outcome.line, outcome.code
    return msgspec.json.decode(outcome.text)


@contextmanager
def served(shelf: Shelf) -> Iterator[str]:
    """Ingest on a port of its own; its address."""
    app = create_app(settings(), shelf, Published())
    config = uvicorn.Config(app, port=0, log_level="error", ws="none", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
