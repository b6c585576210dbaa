"""``regulars profile rebuild``: profiles computed again from their interactions, and compared."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_screen = Console(stderr=True)
_SHOWN = 1_000

Who = Annotated[str, typer.Argument(metavar="[ID]", help="One profile; a former id will do.")]
All = Annotated[bool, typer.Option("--all", help="Every profile.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Change nothing: compare, and exit with 1 on a difference.")
]
Patience = Annotated[
    float, typer.Option(min=0, help="Seconds in which what is on its way must have arrived.")
]


def rebuild(
    profile_id: Who = "", everyone: All = False, verify: Verify = False, patience: Patience = 30.0
) -> None:
    """Compute profiles again from their stored interactions, by the build workers, live.

    Asks the running workers over Kafka and follows them in MongoDB; Ctrl-C ends the following,
    not the rebuild. With --verify each profile must be, byte for byte, what its interactions
    make of it.
    """
    if bool(profile_id) == everyone:
        raise typer.BadParameter("name one profile, or --all")
    if verify:
        _run(lambda: _verify(profile_id, patience))
    else:
        _run(lambda: _one(profile_id) if profile_id else _everyone())


async def _everyone() -> None:
    from services.profile.repair.wiring import desk

    with _bar() as bar:
        task = bar.add_task("waiting for the build workers", total=None)
        async with desk() as asked:
            generation = await asked.ask_for_all()
            far = None
            async for far in asked.follow(generation):
                words = "rebuilding" if far.partitions else "waiting for the build workers"
                bar.update(task, completed=far.done, total=far.of or None, description=words)
    assert far is not None  # it ends with the last
    typer.echo(f"rebuilt {far.of} profiles")


async def _one(profile_id: str) -> None:
    from services.profile.repair.wiring import desk

    async with desk() as asked:
        now = await asked.ask_for(profile_id)
    if now is None:
        raise _fail(f"there is no profile {profile_id}, or nothing is known of it")
    typer.echo(f"rebuilt {now}")


async def _verify(profile_id: str, patience: float) -> None:
    from services.profile.repair.wiring import proof

    wrong: list[str] = []
    compared = 0
    async with proof() as (judge, total, current):
        if profile_id:
            id_ = await current(profile_id)
            if id_ is None:
                raise _fail(f"there is no profile {profile_id}")
            compared, wrong = 1, await judge.wrong_of([id_], patience)
        else:
            with _bar() as bar:
                task = bar.add_task("comparing", total=await total())
                async for count, found in judge.wrong(patience):
                    compared += count
                    wrong += found
                    bar.update(task, completed=compared)
    for id_ in wrong[:_SHOWN]:
        typer.echo(id_)
    if wrong:
        raise _fail(f"{len(wrong)} of {compared} profiles are not what their interactions make")
    typer.echo(f"{compared} profiles are, byte for byte, what their interactions make of them")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_screen,
    )


def _run(work: Callable[[], Awaitable[None]]) -> None:
    from aiokafka.errors import KafkaError

    from services.runtime.mongo import PyMongoError

    async def main() -> None:
        await work()

    try:
        asyncio.run(main())
    except KafkaError as error:
        raise _fail(f"Kafka does not answer: {error} (REGULARS_KAFKA_URL)") from error
    except PyMongoError as error:
        raise _fail(f"MongoDB: {type(error).__name__} (REGULARS_MONGO_URL)") from error


def _fail(message: str) -> typer.Exit:
    _screen.print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)
