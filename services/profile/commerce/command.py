"""``regulars rates``: exchange rates from a file or from the web. Asks the API of profile."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.currencies import CODES
from schemas.validation import Fault
from services.profile.commerce.files import LARGEST, Days, read

app = typer.Typer(
    help="Exchange rates, for revenue in one currency. Needs REGULARS_ADMIN_TOKEN.",
    no_args_is_help=True,
)
ECB = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip"
"""The European Central Bank's reference rates of every day since 1999."""
_AT_ONCE = 200
_screen = Console()
_errors = Console(stderr=True)

Reference = Annotated[
    str, typer.Option(help="What the rates are against: one unit of it is worth that much.")
]
Since = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Leave out the days before.")
]


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="The ECB's CSV or its zip, or CSV of date, currency, rate.")
    ],
    reference: Reference = "EUR",
    since: Since = None,
) -> None:
    """Take in the rates of a file. Those of days that are known already are replaced."""
    try:
        data = file.read_bytes() if file.stat().st_size <= LARGEST else b""
    except OSError as error:
        raise _fail(f"{file}: {error.strerror}") from error
    _send(data, reference, since)


@app.command()
def fetch(
    url: Annotated[str, typer.Option(help="A public https address of such a file.")] = ECB,
    reference: Reference = "EUR",
    since: Since = None,
) -> None:
    """Take in the rates of a file on the web: by default, all that the ECB has published."""
    _send(asyncio.run(_fetched(url)), reference, since)


@app.command()
def show() -> None:
    """For which currencies and days rates are known."""
    known = _ask("GET", "/v1/rates")
    table = Table("currency", "from", "to", "days", box=None)
    for one in known["currencies"]:
        table.add_row(one["currency"], one["first_day"], one["last_day"], f"{one['days']:,}")
    _screen.print(table)
    against = f"against {known['reference']}" if known["reference"] else "none are known"
    wanted = known["base"] or "no currency: set REGULARS_BASE_CURRENCY"
    _errors.print(f"Rates {against}; revenue is summed up in {wanted}.")


def _send(data: bytes, reference: str, since: datetime | None) -> None:
    reference = reference.strip().upper()
    if reference not in CODES:
        raise _fail(f"{reference}: a currency is a code such as EUR")
    found = read(data)
    if isinstance(found, Fault):
        raise _fail(f"{found.code}: {found.detail}")
    first = "" if since is None else since.date().isoformat()
    days: Days = {day: rates for day, rates in found.items() if day >= first}
    taken = 0
    told, published = sorted(days), True
    for start in range(0, len(told), _AT_ONCE):
        some = {day: days[day] for day in told[start : start + _AT_ONCE]}
        answer = _ask("POST", "/v1/rates", json={"reference": reference, "days": some})
        taken += answer["rates"]
        published = published and answer["published"]
    _errors.print(f"{taken:,} rates of {len(days):,} days are stored.")
    if not published:
        _errors.print("Kafka is away: they are used as soon as it is back.")


async def _fetched(url: str) -> bytes:
    from services.runtime.outbound import Limits, Outbound

    outbound = Outbound(limits=Limits(seconds=60, bytes=20_000_000))
    try:
        reply = await outbound.request("GET", url)
    finally:
        await outbound.close()
    if isinstance(reply, Fault):
        raise _fail(f"{url}: {reply.code} {reply.detail}")
    if reply.status != 200:
        raise _fail(f"{url} answered {reply.status}")
    return reply.body


def _ask(method: str, path: str, **request: Any) -> Any:
    """The API's answer as JSON. Exits where there is none."""
    import httpx

    from services.profile.commerce.settings import RatesSettings

    settings = RatesSettings()
    headers = {"Authorization": f"Bearer {settings.admin_token.get_secret_value()}"}
    try:
        with httpx.Client(base_url=settings.profile_url, timeout=60, trust_env=False) as http:
            response = http.request(method, path, headers=headers, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        where = f"profile does not answer at {settings.profile_url} (REGULARS_PROFILE_URL)"
        raise _fail(where) from error
    if response.status_code == 401:
        raise _fail("profile does not know this token (REGULARS_ADMIN_TOKEN)")
    if not response.is_success:
        try:
            problem = response.json()
        except ValueError:
            raise _fail(f"profile answered {response.status_code}") from None
        errors = [f"{one['at']}: {one['detail']}" for one in problem.get("errors") or ()]
        raise _fail("; ".join(errors[:5]) or problem.get("detail") or "no reason given")
    return response.json()


def _fail(reason: str) -> typer.Exit:
    _errors.print(f"[red]{escape(reason)}[/red]")
    return typer.Exit(2)
