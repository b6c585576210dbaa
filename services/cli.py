"""``regulars``: the one command that starts and inspects everything."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from services import processes
from services.dead_letters import app as dead_letter_topics
from services.ingest.dead_letters.command import app as dead_letters
from services.ingest.history.command import import_
from services.ingest.sources.command import app as sources
from services.processes import ProcessSpec
from services.profile.commerce.command import app as rates
from services.profile.repair.command import rebuild
from services.profile.suggestions.command import suggest
from services.runtime.settings import Settings

app = typer.Typer(
    help="Regulars, an event-driven CRM for online shops.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
topics = typer.Typer(help="The Kafka topics.", no_args_is_help=True)
app.add_typer(topics, name="topics")
profile = typer.Typer(help="What is known of people.", no_args_is_help=True)
app.add_typer(profile, name="profile")
profile.command("suggest")(suggest)
profile.command("rebuild")(rebuild)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(sources, name="sources")
app.add_typer(rates, name="rates")
dead_letters.add_typer(dead_letter_topics, name="topics")
app.command("import")(import_)

_screen = Console(stderr=True)


@app.command()
def worker(
    name: Annotated[str, typer.Argument(help=", ".join(p.name for p in processes.EVERY_WORKER))],
) -> None:
    """Run one worker until Ctrl-C or SIGTERM."""
    spec = _find(name, processes.EVERY_WORKER)
    from services.runtime.run import run_worker  # Faust takes a second to import

    run_worker(_load(spec.target)(), Settings())


@app.command()
def api(
    name: Annotated[str, typer.Argument(help=", ".join(p.name for p in processes.APIS))],
) -> None:
    """Run one service's HTTP API until Ctrl-C or SIGTERM."""
    _serve(_find(name, processes.APIS))


@app.command()
def console() -> None:
    """Run the pages for people until Ctrl-C or SIGTERM."""
    _serve(processes.CONSOLE)


@app.command("inbound-mail")
def inbound_mail() -> None:
    """Take mail to the shop by SMTP or LMTP, for sources of kind mail, until Ctrl-C or SIGTERM."""
    _serve(processes.INBOUND_MAIL)


@topics.command("create")
def create_topics() -> None:
    """Create every topic that is missing. Safe to repeat."""
    from aiokafka.errors import KafkaError

    from services.runtime.topics import TopicMismatch
    from services.runtime.topics import create_topics as create
    from services.runtime.worker import app_id

    settings = Settings()
    app_ids = [app_id(settings, spec.name) for spec in processes.EVERY_WORKER]
    try:
        created = asyncio.run(create(settings, app_ids))
    except TopicMismatch as error:
        raise fail(str(error)) from error
    except KafkaError as error:
        raise fail(f"Kafka at {settings.kafka_url}: {error} (REGULARS_KAFKA_URL)") from error
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("every topic exists")


_KEYS = """Write key for ingest: `demo-write-key`. Bearer tokens for the other APIs, by role:
`demo-reader`, `demo-marketer`, `demo-support`, `demo-admin`."""
_DATA = Path(".data/demo")
DataDir = Annotated[Path, typer.Option("--data", help="Where everything is stored.")]
Webhooks = Annotated[
    bool, typer.Option("--webhooks", help="Also start the worker that sends webhooks.")
]


@app.command(epilog=_KEYS)
def demo(
    mode: Annotated[
        Literal["live", "replay"], typer.Option(help="replay: end after the table.")
    ] = "live",
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second of the live shop.")] = 20.0,
    data: DataDir = _DATA,
    webhooks: Webhooks = False,
) -> None:
    """Everything on this machine, on real data: a purchase log, then a live shop.

    Starts Kafka, MongoDB and every service, without Docker. Replays 69,659 real purchases
    and compares the reports with the known totals; then a simulated shop opens.
    """
    _local(lambda run: run.demo(mode, rate, data, webhooks))


@app.command(epilog=_KEYS)
def up(data: DataDir = _DATA, webhooks: Webhooks = False) -> None:
    """The same servers and services as the demo, with no data, until Ctrl-C."""
    _local(lambda run: run.up(data, webhooks))


@app.command()
def reset(data: DataDir = _DATA) -> None:
    """Delete what demo and up have stored. Refused while they run."""
    _local(lambda run: run.reset(data))


def _local(command: Callable[[Any], int]) -> None:
    """Run a command of ``deploy.demo.run``, which an installation for servers does not have."""
    try:
        run = import_module("deploy.demo.run")
    except ModuleNotFoundError as error:
        raise fail(
            f"{error.name} is not installed: in a checkout of Regulars, run `make setup` "
            "(or install it with its `local` extra)"
        ) from error
    from deploy.local.errors import StackError

    try:
        code = command(run)
    except (StackError, ModuleNotFoundError) as error:
        raise fail(str(error)) from error
    raise typer.Exit(code)


def fail(message: str) -> typer.Exit:
    """One line on standard error; raise what it returns to end with exit code 1."""
    _screen.print(f"[red]error[/red]: {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def main() -> None:
    """The console script."""
    app()


def _find(name: str, specs: tuple[ProcessSpec, ...]) -> ProcessSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    names = ", ".join(spec.name for spec in specs)
    raise fail(f"there is no {name}: choose one of {names}")


def _load(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(import_module(module), function)


def _serve(spec: ProcessSpec) -> None:
    import os

    from services.runtime.serve import serve

    port = int(os.environ.get(spec.port_setting, spec.port))
    count = int(os.environ.get(spec.count_setting, 1)) if spec.count_setting else 1
    websockets = spec.kind == "console"
    serve(spec.target, port, Settings(), websockets=websockets, processes=count)


if __name__ == "__main__":
    main()
