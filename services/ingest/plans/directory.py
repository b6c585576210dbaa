"""The plans that this process knows, compiled once for each version."""

from typing import Literal, Protocol

import msgspec
import structlog

from services.ingest.model import Judge
from services.ingest.plans.judge import PlanJudge, Tally
from services.ingest.plans.model import Plan
from services.ingest.sources.directory import DefinitionsView
from services.ingest.sources.model import Source

log = structlog.get_logger()

KIND: Literal["tracking_plan"] = "tracking_plan"


class Judges(Protocol):
    """Gives the judge of a source's events."""

    def of(self, source: Source) -> Judge | None: ...


class Plans:
    """Follows the published plans. A source whose plan is not known is judged by none."""

    def __init__(self, tally: Tally, definitions: DefinitionsView | None = None) -> None:
        self._tally = tally
        self._definitions = definitions
        self._judges: dict[str, tuple[int, PlanJudge | None]] = {}

    def follow(self, definitions: DefinitionsView) -> None:
        """From now on these are the published ones."""
        self._definitions = definitions

    def of(self, source: Source) -> Judge | None:
        """The judge of the source's plan; None where there is none."""
        name = source.plan
        if name is None or self._definitions is None:
            return None
        definition = self._definitions.current.get((KIND, name))
        if definition is None:
            self._judges.pop(name, None)
            return None
        known = self._judges.get(name)
        if known is None or known[0] != definition.version:
            known = self._judges[name] = definition.version, self._made(name, definition.body)
        return known[1]

    def _made(self, name: str, body: dict[str, object]) -> PlanJudge | None:
        try:
            return PlanJudge(name, msgspec.convert(body, Plan), self._tally)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            log.error("plan does not fit", plan=name, error=type(error).__name__)
            return None
