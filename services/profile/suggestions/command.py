"""``regulars profile suggest``: who may be one person. Asks a running profile API for everybody."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from services.profile.suggestions import rules
from services.profile.suggestions.cards import card_of
from services.profile.suggestions.model import Card, Suggestion
from services.profile.suggestions.rules import THRESHOLD, crowded, suggestions

_AT_ONCE = 500
_ID = 22
"""Characters of a profile id, which must not be cut short: one asks for the person by it."""
_screen = Console()
_errors = Console(stderr=True)

Url = Annotated[str, typer.Option(envvar="REGULARS_PROFILE_URL", help="The profile API.")]
Token = Annotated[
    str, typer.Option(envvar="REGULARS_PROFILE_TOKEN", help="Of any role; of support for --queue.")
]


def suggest(
    url: Url = "http://127.0.0.1:8200",
    token: Token = "",
    threshold: Annotated[float, typer.Option(help="Bits of evidence, at least.")] = THRESHOLD,
    queue: Annotated[
        bool, typer.Option("--queue", help="Put them where people decide, in the console.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each pair.")] = False,
) -> None:
    """People who each have a user id and are probably one. Nothing is merged by it."""
    import httpx

    try:
        cards = list(_cards(url, token))
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, _Cut) as error:
        _errors.print(f"error: the profile API at {url}: {error}", markup=False)
        raise typer.Exit(1) from None
    found = suggestions(cards, threshold)
    if json:
        for one in found:
            typer.echo(msgspec.json.encode(one).decode())
    else:
        _screen.print(_table(found))
        _screen.print(f"{len(found):,} pairs among {len(cards):,} people with a user id.")
    if many := crowded(cards):
        _errors.print(
            f"{many:,} people share something with more than {rules.MOST_IN_BLOCK}, too many to "
            "compare them all: these were compared with those who share more."
        )
    if queue:
        try:
            count = _queue(url, token, found, many)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            _errors.print(f"error: the profile API at {url}: {error}", markup=False)
            raise typer.Exit(1) from None
        _errors.print(f"{count:,} of them wait in the console for somebody to decide.")


class _Cut(Exception):
    """The export ended before its last line."""


def _cards(url: str, token: str) -> Iterator[Card]:
    """Everybody who has a user id."""
    import httpx

    complete = False
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{url.rstrip('/')}/v1/profiles/export"
    asked = httpx.stream("GET", address, headers=headers, timeout=60, trust_env=False)
    with asked as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            told: dict[str, Any] = msgspec.json.decode(line)
            complete = complete or "complete" in told
            profile = told.get("profile")
            if profile is None:
                continue
            identifiers = profile.get("identifiers", [])
            if any(one["type"] == "user_id" for one in identifiers):
                yield card_of(told["profile_id"], profile.get("traits", {}), identifiers)
    if not complete:
        raise _Cut("the export was cut off; try again.")


def _queue(url: str, token: str, found: list[Suggestion], crowded: int) -> int:
    """Put them in the queue, and how many were not compared with all; how many stand there."""
    import httpx

    count = 0
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{url.rstrip('/')}/v1/identity/suggestions"
    for start in range(0, max(1, len(found)), _AT_ONCE):
        pairs = [[one.one, one.other] for one in found[start : start + _AT_ONCE]]
        said = {"pairs": pairs, "crowded": crowded}
        answer = httpx.post(address, json=said, headers=headers, timeout=60, trust_env=False)
        answer.raise_for_status()
        count += msgspec.json.decode(answer.content, type=_Queued).queued
    return count


class _Queued(msgspec.Struct):
    queued: int


def _table(found: list[Suggestion]) -> Table:
    ids = [Column(name, no_wrap=True, min_width=_ID) for name in ("one", "other")]
    table = Table(*ids, "bits", "what speaks for it", "and against", box=None)
    for pair in found:
        sides = [
            ", ".join(f"{a.field} {a.level}" for a in pair.evidence if (a.bits > 0) is speaks_for)
            for speaks_for in (True, False)
        ]
        table.add_row(pair.one, pair.other, f"{pair.score:.1f}", *sides)
    return table
