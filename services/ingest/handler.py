"""One request's events: judged one by one, delivered together, answered after the ack."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from schemas.validation import Fault
from services.ingest.model import (
    Accepted,
    Answer,
    Judge,
    Judged,
    Origin,
    Receipt,
    Rejection,
    Shared,
)
from services.ingest.rules import accept, milliseconds
from services.ingest.sources.model import Source

_SLICE = 250
"""Events judged before other requests get their turn (about 4 ms)."""


class Unavailable(Exception):
    """The events are not known to be stored: the sender must send them again."""


class Limited(Exception):
    """The source sends more than it may, and nothing was taken."""

    def __init__(self, seconds: float, burst: int) -> None:
        super().__init__()
        self.seconds = seconds
        """Until the same can be taken; ``inf`` when there are more than ``burst`` of them."""
        self.burst = burst


class Sink(Protocol):
    """Where accepted events go."""

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        """Return once every event is acknowledged; raise ``Unavailable`` otherwise."""


class Turnstile(Protocol):
    """Lets a source's events in and counts them; must neither wait nor fail."""

    def admit(self, source: Source, events: int, at: datetime) -> None:
        """Let all of them in; raises ``Limited`` and lets in none."""

    def answered(self, source: Source, judged: Judged, answer: Answer) -> None:
        """This is what became of them."""

    def unavailable(self, source: Source, judged: Judged) -> None:
        """They were not acknowledged, and will be sent again."""


class Refusals(Protocol):
    """Where refused events go; waits a moment at most, and never fails."""

    async def record(
        self, texts: Sequence[bytes], rejections: Sequence[Rejection], origin: Origin
    ) -> None:
        """Keep ``texts[rejection.index]`` for each of the rejections."""


class Plans(Protocol):
    """The tracking plans of sources."""

    def of(self, source: Source) -> Judge | None:
        """The judge of this source's events; None: it has no plan."""


class NoPlans:
    """``Plans`` of an ingest without any."""

    def of(self, source: Source) -> Judge | None:
        """None."""


def receipt_of(
    source: Source, at: datetime, fresh_id: Callable[[], str], judge: Judge | None = None
) -> Receipt:
    """What judging an event of ``source`` needs to know."""
    return Receipt(source.name, at, fresh_id, source.default_currency, judge)


class Ingest:
    """Takes events in; the same for one and for 2,500."""

    def __init__(
        self,
        sink: Sink,
        turnstile: Turnstile,
        clock: Callable[[], datetime],
        fresh_id: Callable[[], str],
        *,
        refusals: Refusals,
        plans: Plans | None = None,
    ) -> None:
        self._plans = plans or NoPlans()
        self._sink = sink
        self._refusals = refusals
        self._turnstile = turnstile
        self._clock = clock
        self._fresh_id = fresh_id

    async def take(
        self,
        texts: Sequence[bytes],
        call: str | None,
        shared: Shared,
        source: Source,
        *,
        door: str = "http",
    ) -> Answer:
        """Accept what fits of ``texts`` (each one event's JSON), and say what does not.

        The first of several events with one messageId counts. Raises ``Unavailable`` when
        the broker does not have them all: then sending the whole again is right, since
        messageId keeps anything from counting twice. Raises ``Limited`` when the source may
        not send that many now.
        """
        at, judge = milliseconds(self._clock()), self._plans.of(source)
        receipt = receipt_of(source, at, self._fresh_id, judge)
        self._turnstile.admit(source, len(texts), receipt.at)
        judged = Judged(texts, receipt.at)
        events: dict[str, Accepted] = {}
        rejected: list[Rejection] = []
        duplicates = 0
        for index, text in enumerate(texts):
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            outcome = accept(text, call, shared, receipt)
            judged.outcomes.append(outcome)
            if not isinstance(outcome, Accepted):
                fault, message_id = outcome
                rejected.append(Rejection(index, fault.code, fault.detail, message_id))
            elif outcome.message_id in events:
                duplicates += 1
            else:
                events[outcome.message_id] = outcome
        if events:
            try:
                await self._sink.deliver(list(events.values()), source.name)
            except Unavailable:
                self._turnstile.unavailable(source, judged)
                raise
        if rejected:  # only now: what was not delivered is sent again, and refused again
            origin = Origin(source=source.name, at=receipt.at, door=door, call=call, shared=shared)
            await self._refusals.record(texts, rejected, origin)
        generated = sum(event.generated for event in events.values())
        answer = Answer(True, len(events), duplicates, rejected, generated)
        self._turnstile.answered(source, judged, answer)
        return answer

    async def forward(self, records: Sequence[Accepted], source: Source) -> None:
        """Deliver what is no event, and so needs no judging. Raises ``Unavailable``."""
        if records:
            await self._sink.deliver(records, source.name)

    async def refuse(
        self,
        body: bytes,
        fault: Fault,
        source: Source,
        *,
        history: bool = False,
        call: str = "batch",
        door: str = "http",
    ) -> None:
        """Count and keep what is refused before there is an event: a whole batch, a sale."""
        judged = Judged([body], milliseconds(self._clock()), [(fault, None)])
        refused = Answer(False, 0, 0, [Rejection(0, fault.code, fault.detail)])
        self._turnstile.answered(source, judged, refused)
        shared = Shared(history=history or source.kind == "history")
        origin = Origin(source=source.name, at=judged.at, door=door, call=call, shared=shared)
        await self._refusals.record([body], refused.rejected, origin)

    async def keep(self, delivery: bytes, fault: Fault, source: Source) -> None:
        """Keep a provider's delivery that could not be read."""
        at = milliseconds(self._clock())
        origin = Origin(source=source.name, at=at, door="hook", call="hook")
        await self._refusals.record([delivery], [Rejection(0, fault.code, fault.detail)], origin)
