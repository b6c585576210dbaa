"""``regulars dead-letters topics``: dead letters straight from Kafka, without API or database.

A dead letter is named ``<topic>/<partition>/<offset>/<stage>``, after the record that was
rejected and who did; a crash may have written it twice, and it is shown once. A replay
produces the raw bytes to the original topic, for that stage alone, and leaves a marker, so
that it is not sent twice by mistake; events are deduplicated by their messageId besides.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from schemas.topics import BY_NAME, DEAD, MEANT_FOR
from services.runtime.settings import Settings

app = typer.Typer(
    help="What stages rejected, read from Kafka itself; without what ingest refused.",
    no_args_is_help=True,
)
_screen = Console()
_errors = Console(stderr=True)

T = TypeVar("T")

_MARKER = "dl_replayed"


@dataclass
class DeadLetter:
    """One rejected record."""

    name: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    replayed: bool = False

    def fact(self, header: str) -> str:
        """A ``dl_*`` header as text."""
        return self.headers.get(header, b"").decode("utf-8", "replace")


Topic = Annotated[str, typer.Option(help="Only of this topic, such as events.orders.")]
ReasonOption = Annotated[str, typer.Option(help="Only with this reason code.")]
Name = Annotated[str, typer.Argument(help="topic/partition/offset/stage, as list prints it.")]


@app.command("list")
def list_(topic: Topic = "", reason: ReasonOption = "", limit: int = 100) -> None:
    """The latest dead letters: name, reason, detail, stage, time."""
    letters = _run(lambda: _read(topic, reason))
    table = Table("name", "reason", "detail", "stage", "at", "replayed", box=None)
    for letter in letters[-limit:]:
        facts = [letter.fact(f"dl_{name}") for name in ("reason", "detail", "stage", "at")]
        table.add_row(letter.name, *facts, "yes" if letter.replayed else "")
    _screen.print(table)
    _screen.print(f"{len(letters)} dead letters", highlight=False)


@app.command()
def show(name: Name) -> None:
    """One dead letter whole: headers and raw bytes. It may hold personal data."""
    letter = _one(_run(lambda: _read(name.split("/")[0], "")), name)
    for header, value in letter.headers.items():
        typer.echo(f"{header}: {value.decode('utf-8', 'replace')}")
    typer.echo("")
    typer.echo((letter.value or b"").decode("utf-8", "replace"))


@app.command()
def replay(
    name: Annotated[str, typer.Argument(help="As list prints it, or nothing for all.")] = "",
    topic: Topic = "",
    reason: ReasonOption = "",
) -> None:
    """Send dead letters to their topic again, each once. Name one, a topic or a reason."""
    if not (name or topic or reason):
        _errors.print("error: name a dead letter, --topic or --reason")
        raise typer.Exit(1)
    letters = _run(lambda: _read(name.split("/")[0] or topic, reason))
    if name:
        letters = [_one(letters, name)]
    fresh = [letter for letter in letters if not letter.replayed]
    _run(lambda: _send_again(fresh))
    typer.echo(f"{len(fresh)} sent again, {len(letters) - len(fresh)} had been before")


def _one(letters: list[DeadLetter], name: str) -> DeadLetter:
    for letter in letters:
        if letter.name == name:
            return letter
    _errors.print(f"error: there is no dead letter {name}: see regulars dead-letters topics list")
    raise typer.Exit(1)


def _run(job: Callable[[], Coroutine[Any, Any, T]]) -> T:
    from aiokafka.errors import KafkaError

    try:
        return asyncio.run(job())
    except KafkaError as error:
        _errors.print(f"error: Kafka: {error} (REGULARS_KAFKA_URL)", soft_wrap=True)
        raise typer.Exit(1) from error


async def _read(topic: str, reason: str) -> list[DeadLetter]:
    """All dead letters of a topic (or of all topics), the oldest first."""
    settings = Settings()
    letters: dict[str, DeadLetter] = {}
    replayed = set[str]()
    async for record in _records(settings, topic):
        headers = dict(record.headers)
        if _MARKER in headers:
            replayed.add(headers[_MARKER].decode())
            continue
        facts = [
            headers.get(f"dl_{fact}", b"").decode()
            for fact in ("topic", "partition", "offset", "stage")
        ]
        name = "/".join(facts)
        letters[name] = DeadLetter(name, facts[0], record.key, record.value, headers)
    for name in replayed & letters.keys():
        letters[name].replayed = True
    return [item for item in letters.values() if reason in ("", item.fact("dl_reason"))]


async def _records(settings: Settings, topic: str) -> AsyncIterator[Any]:
    from aiokafka import TopicPartition

    names = [dead.name for dead in DEAD if topic in ("", dead.name.removesuffix(".dead"))]
    async with _consumer(settings) as consumer:
        partitions = [TopicPartition(settings.topic(name), 0) for name in names]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batches = await consumer.getmany(partition, timeout_ms=1_000)
                for record in batches.get(partition, ()):
                    yield record


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[Any]:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_url, group_id=None, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _send_again(letters: list[DeadLetter]) -> None:
    from services.runtime.publish import Publisher, partition_of
    from services.runtime.turn import Output

    publisher = Publisher(Settings(), "dead-letters")
    try:
        for letter in letters:
            partitions = BY_NAME[letter.topic].partitions
            partition = partition_of(letter.key, partitions) if letter.key else 0
            headers = [h for h in letter.headers.items() if not h[0].startswith("dl_")]
            # The topic's other readers have had it.
            headers.append((MEANT_FOR, letter.headers.get("dl_stage", b"")))
            again = Output(letter.topic, partition, letter.key, letter.value, headers)
            marker = [(_MARKER, letter.name.encode())]
            await publisher.publish([again])
            await publisher.publish([Output(f"{letter.topic}.dead", 0, letter.key, None, marker)])
    finally:
        await publisher.stop()
