"""``regulars dead-letters``: what was refused and why, over ingest's API.

The group ``topics`` beneath reads and replays straight from Kafka, for the day when the API
or its database is away.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(help="What was refused, with reasons: see, repair, replay.", no_args_is_help=True)
_screen = Console()
_errors = Console(stderr=True)

TOKENS = ("REGULARS_TOKEN", "REGULARS_ADMIN_TOKEN")
_URL = "http://127.0.0.1:8100"
_SECONDS = 30.0

Url = Annotated[str, typer.Option(envvar="REGULARS_INGEST_URL", help="Of ingest.")]
Source = Annotated[str, typer.Option(help="Only of this source.")]
Topic = Annotated[str, typer.Option(help="Only of this topic; events.rejected: ingest's own.")]
Reason = Annotated[str, typer.Option(help="Only with this reason code.")]
Text = Annotated[str, typer.Option(help="Within the event's name or message id.")]
State = Annotated[str, typer.Option(help="open, edited, replaying, replayed, dismissed, erased.")]
Since = Annotated[datetime | None, typer.Option(help="Refused then or later, in UTC.")]
Id = Annotated[str, typer.Argument(help="As list prints it.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only show what would become of it.")]


@app.command("list")
def list_(
    source: Source = "",
    topic: Topic = "",
    reason: Reason = "",
    state: State = "",
    text: Text = "",
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    url: Url = _URL,
) -> None:
    """The latest dead letters: id, event, source, reason, detail, time, state."""
    wanted = {"source": source, "topic": topic, "reason": reason, "state": state, "text": text}
    asked: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    if since is not None:
        asked["from"] = since.isoformat()
    page = _call("GET", "", url, params=asked | {"limit": limit})
    table = Table("id", "event", "source", "reason", "detail", "at", "state", box=None)
    for item in page["items"]:
        names = ("id", "name", "source", "reason", "detail", "at", "state")
        table.add_row(*(escape(str(item[name])) for name in names))
    _screen.print(table)
    if page["next"]:
        _screen.print("There are more: narrow it down, or raise --limit.")


@app.command()
def show(id: Id, url: Url = _URL) -> None:
    """One dead letter whole, with its content if your role may see it: it may be personal."""
    typer.echo(json.dumps(_call("GET", f"/{id}", url), indent=2, ensure_ascii=False))


@app.command()
def counts(
    source: Source = "",
    topic: Topic = "",
    reason: Reason = "",
    since: Since = None,
    url: Url = _URL,
) -> None:
    """How many were refused, by day, source and reason; also those that were only counted."""
    wanted = {"source": source, "topic": topic, "reason": reason}
    asked: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    if since is not None:
        asked["from"] = since.isoformat()
    found = _call("GET", "/counts", url, params=asked)
    names = ("day", "source", "topic", "reason", "stored", "suppressed", "dropped")
    table = Table(*names, box=None)
    for item in found["items"]:
        table.add_row(*(escape(str(item[name])) for name in names))
    _screen.print(table)
    states = ", ".join(f"{number} {state}" for state, number in found["states"].items())
    _screen.print(states or "none", highlight=False)


@app.command()
def replay(
    id: Annotated[str, typer.Argument(help="One dead letter, or nothing for a filter.")] = "",
    body: Annotated[Path | None, typer.Option(help="A file with the repaired body.")] = None,
    source: Source = "",
    topic: Topic = "",
    reason: Reason = "",
    text: Text = "",
    patch: Annotated[
        Path | None, typer.Option(help="A file with a JSON Patch (RFC 6902) for each.")
    ] = None,
    expression: Annotated[
        Path | None, typer.Option(help="A file with JMESPath: the new body of each, from the old.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    dry_run: Dry = False,
    url: Url = _URL,
) -> None:
    """Send dead letters again, each once. Name one, or a source, topic, reason or text."""
    if id:
        content = f'"body": {_text(body)}, ' if body else ""
        asked = f'{{{content}"dry_run": {json.dumps(dry_run)}}}'
        _tell([_call("POST", f"/{id}/replay", url, content=asked)])
        return
    wanted = {"source": source, "topic": topic, "reason": reason, "text": text}
    said = json.dumps({"filter": wanted, "limit": limit, "dry_run": dry_run})
    content = f', "patch": {_text(patch)}' if patch else ""
    if expression:
        content += f', "expression": {json.dumps(_read(expression))}'
    outcome = _call("POST", "/replay", url, content=said[:-1] + content + "}")
    _tell(outcome["letters"])
    more = "; there are more: repeat it" if outcome["next"] else ""
    taken, refused = outcome["taken"], outcome["refused"]
    _screen.print(f"{taken} sent again, {refused} still refused{more}", highlight=False)


@app.command()
def dismiss(
    id: Annotated[str, typer.Argument(help="One dead letter, or nothing for a filter.")] = "",
    source: Source = "",
    topic: Topic = "",
    reason: Reason = "",
    text: Text = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    url: Url = _URL,
) -> None:
    """Nothing is to be done about it, or about all that are open and fit a filter."""
    if id:
        _call("POST", f"/{id}/dismiss", url)
        typer.echo("dismissed")
        return
    wanted = {"source": source, "topic": topic, "reason": reason, "text": text}
    asked = json.dumps({"filter": wanted, "dry_run": dry_run})
    number = _call("POST", "/dismiss", url, content=asked)["dismissed"]
    typer.echo(f"{number} {'would be dismissed' if dry_run else 'dismissed'}")


@app.command()
def erase(
    email: Annotated[list[str] | None, typer.Option()] = None,
    phone: Annotated[list[str] | None, typer.Option()] = None,
    user_id: Annotated[list[str] | None, typer.Option()] = None,
    anonymous_id: Annotated[list[str] | None, typer.Option()] = None,
    url: Url = _URL,
) -> None:
    """Remove what dead letters hold of a person, by any of their identifiers."""
    given = {"email": email, "phone": phone, "user_id": user_id, "anonymous_id": anonymous_id}
    identifiers = [
        {"type": kind, "value": value} for kind, values in given.items() for value in values or ()
    ]
    if not identifiers:
        _fail("name an --email, --phone, --user-id or --anonymous-id")
    done = _call("POST", "/erase", url, content=json.dumps({"identifiers": identifiers}))
    typer.echo(f"{done['erased']} erased")


def _tell(letters: list[dict[str, Any]]) -> None:
    for one in letters:
        verdict = "accepted" if one["accepted"] else f"{one['code']}: {one['detail']}"
        _screen.print(f"{one['id']}  {escape(verdict)}", highlight=False, soft_wrap=True)
        for side in ("before", "after"):
            if one.get(side) and "json" in one[side]:
                typer.echo(f"{side}: {json.dumps(one[side]['json'], indent=2, ensure_ascii=False)}")


def _text(path: Path) -> str:
    """A file that holds JSON, as it is: no digit of it is touched."""
    text = _read(path)
    try:
        json.loads(text)
    except ValueError as error:
        _fail(f"{path}: {error}")
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        _fail(f"{path}: {error}")


def _call(method: str, path: str, url: str, **request: Any) -> Any:
    token = next((os.environ[name] for name in TOKENS if os.environ.get(name)), "")
    if not token:
        _fail(f"{TOKENS[0]} is not set: a bearer token of ingest, of the role support to act")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        answer = httpx.request(
            method,
            f"{url.rstrip('/')}/v1/dead-letters{path}",
            headers=headers,
            timeout=_SECONDS,
            **request,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _fail(
            f"ingest does not answer at {url} ({type(error).__name__}); "
            "`regulars dead-letters topics` reads Kafka itself"
        )
    try:
        said = answer.json()
    except ValueError:
        _fail(f"{url} answers {answer.status_code}, but not as ingest does")
    if not answer.is_success:
        _fail(f"{said.get('code') or said.get('title')}: {said.get('detail')}")
    return said


def _fail(message: str) -> NoReturn:
    _errors.print(f"[red]error[/red]: {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
