"""What the routes of dead letters share: the desk they work with, roles, places in a list."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Request, Response

from services.ingest.dead_letters.desk import Desk
from services.ingest.dead_letters.model import Letter
from services.ingest.dead_letters.store import Letters
from services.runtime.http import Problem, encode_cursor, require

Position = tuple[datetime, str]
"""Of the last letter of a page."""


@dataclass(frozen=True)
class Means:
    """What the routes work with; ``request.app.state.dead_letters`` once it has started."""

    letters: Letters
    desk: Desk


def _means(request: Request) -> Means:
    means: Means | None = getattr(request.app.state, "dead_letters", None)
    if means is None:
        raise Problem(503, "Service Unavailable", "It is still starting. Try again.")
    return means


Office = Annotated[Means, Depends(_means)]
Actor = Annotated[str, require("support")]
Id = Annotated[str, Path(max_length=300, description="The id of a dead letter")]


def unknown() -> Problem:
    """404."""
    return Problem(404, "Not Found", "There is no dead letter with this id.")


def cursor_of(letter: Letter) -> str:
    """Where the page after this letter begins."""
    return encode_cursor((letter.at, letter.id))


def utc(at: datetime | None) -> datetime | None:
    """A time without an offset is taken as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def json_of(body: bytes, status: int = 200) -> Response:
    """An answer whose numbers stay as they were written."""
    return Response(body, status, media_type="application/json")
