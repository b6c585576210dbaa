"""One request's events: judged one by one, delivered together, answered after the ack."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from services.ingest.model import Accepted, Answer, Receipt, Rejection, Shared
from services.ingest.rules import accept, milliseconds

_SLICE = 250
"""Events judged before other requests get their turn (about 4 ms)."""


class Unavailable(Exception):
    """The events are not known to be stored: the sender must send them again."""


class Sink(Protocol):
    """Where accepted events go."""

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        """Return once every event is acknowledged; raise ``Unavailable`` otherwise."""


class Ingest:
    """Takes events in; the same for one and for 2,500."""

    def __init__(
        self, sink: Sink, clock: Callable[[], datetime], fresh_id: Callable[[], str]
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._fresh_id = fresh_id

    async def take(
        self, texts: Sequence[bytes], call: str | None, shared: Shared, source: str
    ) -> Answer:
        """Accept what fits of ``texts`` (each one event's JSON), and say what does not.

        The first of several events with one messageId counts. Raises ``Unavailable`` when
        the broker does not have them all: then sending the whole again is right, since
        messageId keeps anything from counting twice.
        """
        receipt = Receipt(source, milliseconds(self._clock()), self._fresh_id)
        events: dict[str, Accepted] = {}
        rejected: list[Rejection] = []
        duplicates = 0
        for index, text in enumerate(texts):
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            outcome = accept(text, call, shared, receipt)
            if not isinstance(outcome, Accepted):
                fault, message_id = outcome
                rejected.append(Rejection(index, fault.code, fault.detail, message_id))
            elif outcome.message_id in events:
                duplicates += 1
            else:
                events[outcome.message_id] = outcome
        if events:
            await self._sink.deliver(list(events.values()), source)
        generated = sum(event.generated for event in events.values())
        return Answer(True, len(events), duplicates, rejected, generated)
