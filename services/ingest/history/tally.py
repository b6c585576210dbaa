"""A dry run: what ingest would say of each event, by the very rules that it applies."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from heapq import heappush, heapreplace
from typing import Any

import msgspec
from msgspec import Struct, field

from schemas.catalogue import ORDER_COMPLETED, ORDER_REFUNDED, email_of
from schemas.messages import Event
from schemas.validation import REFUND_AMOUNTS, amount
from services.ingest.history.batches import Batch
from services.ingest.history.grouping import Recent
from services.ingest.history.model import Made, Refusal
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept

EXAMPLES = 3
_HISTORY = Shared(history=True)
_events = msgspec.json.Decoder(Event, float_hook=Decimal)


class People:
    """How many different ones: exact up to ``kept``, then estimated within about half a percent.

    The k smallest hashes say how densely they lie (k minimum values).
    """

    def __init__(self, kept: int = 65_536) -> None:
        self._kept = kept
        self._heap: list[int] = []
        self._known: set[int] = set()

    def add(self, key: str) -> None:
        digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
        if digest in self._known:
            return
        if len(self._heap) < self._kept:
            heappush(self._heap, -digest)
        elif digest < -self._heap[0]:
            self._known.discard(-heapreplace(self._heap, -digest))
        else:
            return
        self._known.add(digest)

    @property
    def exact(self) -> bool:
        return len(self._heap) < self._kept

    @property
    def count(self) -> int:
        if self.exact:
            return len(self._heap)
        return round((self._kept - 1) * 2.0**64 / -self._heap[0])


class Tally(Struct):
    """What a dry run has found."""

    rows: int = 0
    skipped: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """Accepted ones by name."""
    repeated: int = 0
    """Events with an id that one before had: they count once."""
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Refusal]] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    revenue: dict[str, Decimal] = field(default_factory=dict)
    refunded: dict[str, Decimal] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        return self.events.total()


class DryRun:
    """Fills a ``Tally``, batch by batch."""

    def __init__(self, now: datetime, default_currency: str = "USD") -> None:
        self.tally = Tally()
        self.people = People()
        self._ids = Recent()
        self._currency = default_currency
        self._receipt = Receipt("", now, lambda: "")

    def take(self, batch: Batch) -> list[Refusal]:
        """Judge a batch; returns what would be refused, in the order of the file."""
        refused = list(batch.refused)
        for made in batch.made:
            refusal = self._judge(made)
            if refusal is not None:
                refused.append(refusal)
        refused.sort(key=lambda one: one.line)
        tally = self.tally
        tally.rows += batch.rows
        tally.skipped += batch.skipped
        for one in refused:
            tally.refused[one.code] += 1
            examples = tally.examples.setdefault(one.code, [])
            if len(examples) < EXAMPLES:
                examples.append(one)
        return refused

    def _judge(self, made: Made) -> Refusal | None:
        outcome = accept(made.text, None, _HISTORY, self._receipt)
        if not isinstance(outcome, Accepted):
            fault, _ = outcome
            return Refusal(made.line, fault.code, fault.detail, message_id=made.message_id)
        if not self._ids.add(outcome.message_id):
            self.tally.repeated += 1
            return None
        self._count(_events.decode(outcome.value), outcome)
        return None

    def _count(self, event: Event, outcome: Accepted) -> None:
        tally = self.tally
        tally.events[outcome.name] += 1
        at = outcome.at
        tally.first = at if tally.first is None else min(tally.first, at)
        tally.last = at if tally.last is None else max(tally.last, at)
        email = email_of(event)
        self.people.add(event.user_id or (email or "").strip().lower() or event.anonymous_id or "")
        if outcome.name == ORDER_COMPLETED:
            self._add(tally.revenue, event.properties, _revenue(event.properties))
        elif outcome.name == ORDER_REFUNDED:
            self._add(tally.refunded, event.properties, _refund(event.properties))

    def _add(self, sums: dict[str, Decimal], said: dict[str, Any], given: Decimal) -> None:
        currency = str(said.get("currency") or self._currency).strip().upper()
        sums[currency] = sums.get(currency, Decimal(0)) + given


def _revenue(said: dict[str, Any]) -> Decimal:
    """What an order adds to revenue: without shipping and tax (Segment's e-commerce spec v2)."""
    revenue, total = amount(said.get("revenue")), amount(said.get("total"))
    if revenue is not None:
        return revenue
    if total is None:
        return _lines(said)
    return total - sum((amount(said.get(name)) or Decimal(0)) for name in ("shipping", "tax"))


def _refund(said: dict[str, Any]) -> Decimal:
    given = (amount(said.get(name)) for name in REFUND_AMOUNTS)
    first = next((one for one in given if one is not None), None)
    return _lines(said) if first is None else abs(first)


def _lines(said: dict[str, Any]) -> Decimal:
    total = Decimal(0)
    for line in said.get("products") or ():
        quantity = amount(line.get("quantity"))
        price = amount(line.get("price")) or Decimal(0)
        total += price * (Decimal(1) if quantity is None else quantity)
    return total


def dry_run(
    batches: Iterable[Batch],
    now: datetime,
    keep: Callable[[list[Refusal]], None],
    look: Callable[[int], None],
) -> DryRun:
    """Judge everything; ``keep`` gets the refusals, ``look`` is told the rows so far."""
    dry = DryRun(now)
    for batch in batches:
        keep(dry.take(batch))
        look(dry.tally.rows)
    return dry
