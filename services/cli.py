"""``regulars``: the one command that starts and inspects everything."""

import asyncio
from importlib import import_module
from typing import Annotated, Any

import typer
from rich.console import Console

from services import processes
from services.dead_letters import app as dead_letters
from services.processes import ProcessSpec
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
app.add_typer(dead_letters, name="dead-letters")

_screen = Console(stderr=True)


@app.command()
def worker(
    name: Annotated[str, typer.Argument(help=", ".join(p.name for p in processes.WORKERS))],
) -> None:
    """Run one worker until Ctrl-C or SIGTERM."""
    spec = _find(name, processes.WORKERS)
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


@topics.command("create")
def create_topics() -> None:
    """Create every topic that is missing. Safe to repeat."""
    from aiokafka.errors import KafkaError

    from services.runtime.topics import TopicMismatch
    from services.runtime.topics import create_topics as create
    from services.runtime.worker import app_id

    settings = Settings()
    app_ids = [app_id(settings, spec.name) for spec in processes.WORKERS]
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


def fail(message: str) -> typer.Exit:
    """One line on standard error; raise what it returns to end with exit code 1."""
    _screen.print(f"[red]error[/red]: {message}", highlight=False, soft_wrap=True)
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

    serve(spec.target, int(os.environ.get(spec.port_setting, spec.port)), Settings())


if __name__ == "__main__":
    main()
