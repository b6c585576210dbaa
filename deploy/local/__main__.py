"""`python -m deploy.local`: the embedded MongoDB and Kafka from a terminal."""

import shutil
import signal
from pathlib import Path
from typing import Annotated

import typer

from deploy.local import jars, kafka, mongod
from deploy.local.errors import StackError
from deploy.local.stack import LocalStack

DATA = Path(".data/local")

DataDir = Annotated[
    Path,
    typer.Option("--data", envvar="REGULARS_LOCAL_DATA", help="Where both keep their data."),
]
KafkaPort = Annotated[
    int, typer.Option(envvar=kafka.PORT_VARIABLE, help="Kafka's port; uses the next too.")
]
MongoPort = Annotated[int, typer.Option(envvar=mongod.PORT_VARIABLE, help="MongoDB's port.")]

app = typer.Typer(
    help="A real MongoDB and a real Apache Kafka on this machine, without Docker.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def up(
    data: DataDir = DATA, kafka_port: KafkaPort = kafka.PORT, mongo_port: MongoPort = mongod.PORT
) -> None:
    """Start both, print their addresses and stay until Ctrl-C."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    stack = LocalStack(data, kafka_port, mongo_port)
    try:
        stack.check()
        if not jars.cached():
            typer.echo("Fetching Apache Kafka, this once (45 MB).", err=True)
        with stack:
            typer.echo(f"Kafka    {stack.kafka_url}\nMongoDB  {stack.mongo_url}")
            typer.echo("Ctrl-C ends both.")
            signal.pause()
    except KeyboardInterrupt:
        typer.echo("Ended.")
    except StackError as error:
        _fail(error)


@app.command()
def reset(data: DataDir = DATA) -> None:
    """Delete both servers' data. Refused while they run."""
    stack = LocalStack(data)
    for server in (stack.kafka, stack.mongod):
        if found := server.running():
            _fail(StackError(f"{server.title} runs (process {found.pid}): end it first."))
    for path in (stack.kafka.home, stack.mongod.home, data / "logs"):
        shutil.rmtree(path, ignore_errors=True)
    for pid_file in data.glob("*.pid"):
        pid_file.unlink()
    typer.echo(f"{data} is empty.")


@app.command()
def status(data: DataDir = DATA) -> None:
    """Say which of the two run on this data; exit code 1 unless both do."""
    stack = LocalStack(data)
    running = [(server.title, server.running()) for server in (stack.kafka, stack.mongod)]
    for title, found in running:
        typer.echo(f"{title:8} " + (f"runs (process {found.pid})" if found else "is not running"))
    if not all(found for _, found in running):
        raise typer.Exit(1)


def _fail(error: StackError) -> None:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m deploy.local")
