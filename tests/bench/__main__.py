"""``python -m tests.bench``: measure, and write docs/benchmarks.md."""

import asyncio
import logging
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markdown import Markdown

from deploy.local.errors import StackError
from tests.bench import growth, idle, ingest, pipeline, reads, rebuild, stages
from tests.bench.progress import Steps, bar
from tests.bench.report import Report
from tests.bench.world import World, world

PAGE = Path("docs/benchmarks.md")
_screen = Console()
_errors = Console(stderr=True)


@dataclass(frozen=True)
class Bench:
    """A bench, and the seconds it should take: in full, quick."""

    run: Callable[[World, Report, Steps], Awaitable[None]]
    seconds: tuple[float, float]


BENCHES = {
    "idle": Bench(idle.bench, (70, 30)),
    "pipeline": Bench(pipeline.bench, (220, 65)),
    "reads": Bench(reads.bench, (100, 75)),
    "ingest": Bench(ingest.bench, (165, 35)),
    "stages": Bench(stages.bench, (215, 40)),
    "rebuild": Bench(rebuild.bench, (120, 30)),
    "growth": Bench(growth.bench, (180, 50)),
}


def main(
    quick: Annotated[bool, typer.Option(help="One pair of each, in three minutes.")] = False,
    full: Annotated[bool, typer.Option(help="Growth to a million profiles: minutes more.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only these, by name.")] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = PAGE,
) -> None:
    """Measure Regulars beside its limits; everything it starts ends with it."""
    chosen = {name: BENCHES[name] for name in BENCHES if not only or name in only}
    if set(only or ()) - set(BENCHES):
        _errors.print(f"[red]error[/]: choose among {', '.join(BENCHES)}")
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # new topics have no leader yet
    directory = Path(tempfile.mkdtemp(prefix="regulars-bench-"))
    report, started = Report(quick), monotonic()
    try:
        with bar(_screen) as progress, world(directory, quick, full) as servers:
            total = sum(bench.seconds[quick] for bench in chosen.values())
            steps = Steps(progress, total)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                for bench in chosen.values():
                    with steps.share(bench.seconds[quick]):
                        runner.run(bench.run(servers, report, steps))  # type: ignore[arg-type]
    except (StackError, ModuleNotFoundError, OSError) as error:
        _errors.print(f"[red]error[/]: {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    page = report.markdown(monotonic() - started)
    out.write_text(page)
    _screen.print(Markdown(page))
    _screen.print(f"Written to {out}.")


if __name__ == "__main__":
    typer.run(main)
