"""``regulars sources``: who may send events. Asks the API of a running ingest."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from services.ingest.sources.model import KINDS

app = typer.Typer(
    help="The sources of events: who may send, with which key. Needs REGULARS_ADMIN_TOKEN.",
    no_args_is_help=True,
)
_screen = Console()
_errors = Console(stderr=True)

DAY = 86_400
_SENDERS = ("server", "browser", "mobile", "store", "history")
"""The kinds that send with a write key; providers sign what they send."""

Name = Annotated[str, typer.Argument(help="The source's name: a-z, 0-9 and -.")]
Currency = Annotated[str | None, typer.Option(help="Where an event names none: EUR.")]
Region = Annotated[str | None, typer.Option(help="Of telephone numbers without a prefix: DE.")]
Rate = Annotated[float | None, typer.Option(min=0, help="In each process; 0: no limit.")]
Options = Annotated[
    list[str] | None, typer.Option(help="Of its kind: name=value, where JSON is read as JSON.")
]


@app.command("list")
def list_() -> None:
    """Every source, with what it sent in the last day."""
    table = Table("name", "kind", "state", "keys", "accepted", "rejected", "last seen", box=None)
    cursor: str | None = None
    while True:
        page = _ask("GET", "", params={"limit": 200} | ({"cursor": cursor} if cursor else {}))
        for one in page["items"]:
            day = one["last_day"]
            table.add_row(
                one["name"],
                one["kind"],
                "on" if one["enabled"] else "disabled",
                _keys(one),
                f"{day['accepted']:,}",
                f"{day['rejected']:,}",
                _moment(day["last_seen"]),
            )
        cursor = page["next"]
        if cursor is None:
            break
    _screen.print(table)


@app.command()
def show(name: Name) -> None:
    """One source: its settings, keys and secrets by name, and its last day."""
    source = _ask("GET", f"/{name}")
    activity = _ask("GET", f"/{name}/activity")
    table = Table(show_header=False, box=None)
    for field, value in source.items():
        if field not in ("keys", "secrets") and value not in (None, {}, []):
            table.add_row(field, str(value))
    for key in source["keys"]:
        end = f", ends {_moment(key['expires_at'])}" if key["expires_at"] else ""
        made = _moment(key["created_at"])
        table.add_row("key", f"{key['id']} (...{key['hint']}), made {made}{end}")
    for secret in source["secrets"]:
        table.add_row("secret", f"{secret['name']}, set {_moment(secret['set_at'])}")
    for field in ("accepted", "duplicates", "limited", "unavailable"):
        table.add_row(f"{field}, last day", f"{activity[field]:,}")
    for one in activity["rejected"]:
        table.add_row(f"rejected: {one['code']}", f"{one['events']:,}")
    table.add_row("last seen", _moment(activity["last_seen"]))
    _screen.print(table)


@app.command()
def create(
    name: Name,
    kind: Annotated[str, typer.Option(help=", ".join(KINDS))] = "server",
    currency: Currency = None,
    region: Region = None,
    events_per_second: Rate = None,
    option: Options = None,
) -> None:
    """Create a source, and print its write key: once, it is never shown again."""
    if _ask("GET", f"/{name}", missing=True) is not None:
        raise _fail(f"there is a source {name}: see regulars sources show {name}")
    body = {"kind": kind} | _said(currency, region, events_per_second, option)
    _ask("PUT", f"/{name}", json=body)
    if kind in _SENDERS:
        _print_key(name, {})
    else:
        _errors.print(f"Created. Now set its secret: regulars sources set-secret {name} NAME")


@app.command("set")
def set_(
    name: Name,
    currency: Currency = None,
    region: Region = None,
    events_per_second: Rate = None,
    option: Options = None,
) -> None:
    """Change what is named, and nothing else. An empty value takes it away."""
    source = _ask("GET", f"/{name}")
    said = _said(currency, region, events_per_second, option)
    options = {**source["options"], **said.pop("options", {})}
    kept = ("kind", "enabled", "default_currency", "default_region", "events_per_second")
    body = {field: source[field] for field in (*kept, "burst", "plan")} | said
    _ask("PUT", f"/{name}", json=body | {"options": {k: v for k, v in options.items() if v != ""}})
    _errors.print(f"{name} is changed.")


@app.command("rotate-key")
def rotate_key(
    name: Name,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, help="How long the older keys go on working.")
    ] = DAY,
) -> None:
    """Make a new write key and print it, once. The older ones end after the overlap."""
    _print_key(name, {"overlap_seconds": overlap_seconds})


@app.command("set-secret")
def set_secret(
    name: Name, secret: Annotated[str, typer.Argument(help="Its name, such as app_secret.")]
) -> None:
    """Set a secret, asked for or read from a pipe. The value before stays good for an hour."""
    value = typer.prompt("Value", hide_input=True, err=True)
    _ask("PUT", f"/{name}/secrets/{secret}", json={"value": value})
    _errors.print(f"{secret} is set.")


@app.command()
def disable(name: Name) -> None:
    """Refuse all that it sends, within a second and in every process."""
    _ask("POST", f"/{name}/disable")
    _errors.print(f"{name} is disabled.")


@app.command()
def enable(name: Name) -> None:
    """Take what it sends again."""
    _ask("POST", f"/{name}/enable")
    _errors.print(f"{name} is enabled.")


@app.command("secret-key")
def secret_key() -> None:
    """Print a new key for REGULARS_SECRET_KEYS, which seals the secrets of sources."""
    from cryptography.fernet import Fernet

    typer.echo(Fernet.generate_key().decode())


def _said(
    currency: str | None, region: str | None, rate: float | None, options: list[str] | None
) -> dict[str, Any]:
    """What was said, as the API takes it."""
    body: dict[str, Any] = {}
    if currency is not None:
        body["default_currency"] = currency.upper() or None
    if region is not None:
        body["default_region"] = region.upper() or None
    if rate is not None:
        body["events_per_second"] = rate or None
    if options:
        body["options"] = dict(map(_option, options))
    return body


def _option(said: str) -> tuple[str, Any]:
    name, equals, value = said.partition("=")
    if not (name and equals):
        raise _fail(f"{said}: say name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print_key(name: str, body: dict[str, Any]) -> None:
    made = _ask("POST", f"/{name}/keys", json=body)
    _errors.print("The write key, shown this once:")
    typer.echo(made["key"])
    if not made["published"]:
        _errors.print("Kafka is away: it works as soon as it is back.")


def _ask(method: str, path: str, *, missing: bool = False, **request: Any) -> Any:
    """The API's answer as JSON; None for a 404 where that is an answer. Exits otherwise."""
    import httpx

    from services.ingest.sources.settings import SourcesSettings

    settings = SourcesSettings()
    headers = {"Authorization": f"Bearer {settings.admin_token.get_secret_value()}"}
    try:
        with httpx.Client(base_url=settings.ingest_url, timeout=20, trust_env=False) as http:
            response = http.request(method, f"/v1/sources{path}", headers=headers, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        where = f"ingest does not answer at {settings.ingest_url} (REGULARS_INGEST_URL)"
        raise _fail(where) from error
    if missing and response.status_code == 404:
        return None
    if response.status_code == 401:
        raise _fail("ingest does not know this token (REGULARS_ADMIN_TOKEN)")
    if not response.is_success:
        raise _fail(_detail(response))
    return response.json() if response.content else None


def _detail(response: Any) -> str:
    try:
        problem = cast(dict[str, Any], response.json())
    except ValueError:
        return f"ingest answered {response.status_code}"
    errors = [f"{one['at']}: {one['detail']}" for one in problem.get("errors") or ()]
    return "; ".join(errors) or problem.get("detail") or problem.get("title") or "no reason given"


def _keys(source: dict[str, Any]) -> str:
    number = len(source["keys"])
    return f"{number} + settings" if source["static"] else str(number)


def _moment(text: str | None) -> str:
    if text is None:
        return "never"
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _fail(message: str) -> typer.Exit:
    _errors.print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)
