"""What the mail server answered, kept durably until a turn has stored it.

Whenever mails are about to be marked, the gate first writes the answers that no turn has
stored by then. So what a connection did before is known for certain once its next mail is
marked, and a crash leaves at most one mail a connection uncertain. Receipts are written
outside of the turns and to a collection of their own, since a turn may be at work on the
same message.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from services.notifier.model import Outcome
from services.runtime.mongo import PyMongoError

Receipt = tuple[str, Outcome]
"""An answer, with the source whose owner is to know of it."""


class Book(Protocol):
    """What is needed of the ledger."""

    async def note(self, receipts: Sequence[Receipt]) -> None:
        """Keep these, for whoever owns their source next; safe to repeat."""

    async def forget(self, outcomes: Sequence[Outcome]) -> None:
        """A turn has stored these."""


class Receipts:
    """The answers that turns have not stored yet, by message id."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._fresh = dict[str, Receipt]()
        self._written = dict[str, Outcome]()
        self._spent: list[Outcome] = []
        self._busy = asyncio.Lock()

    def keep(self, source: str, outcome: Outcome) -> None:
        """An answer has come: the next ``write`` makes it durable."""
        written = self._written.get(outcome.message_id)
        if written is None or written.attempt != outcome.attempt:
            self._fresh[outcome.message_id] = source, outcome

    def settled(self, message_ids: Iterable[str]) -> None:
        """A turn has stored what became of these: they need no receipt any more."""
        for id_ in message_ids:
            self._fresh.pop(id_, None)
            outcome = self._written.pop(id_, None)
            if outcome is not None:
                self._spent.append(outcome)

    def release(self, message_ids: Iterable[str]) -> None:
        """Other workers own these now: their receipts are left to them."""
        for id_ in message_ids:
            self._written.pop(id_, None)

    async def write(self) -> None:
        """Make every answer durable that no turn has stored; raises ``PyMongoError``."""
        async with self._busy:
            batch, self._fresh = self._fresh, {}
            if not batch:
                return
            self._written |= {id_: outcome for id_, (_, outcome) in batch.items()}
            try:
                await self._book.note(list(batch.values()))
            except PyMongoError:
                again = {id_: batch[id_] for id_ in batch if self._written.pop(id_, None)}
                self._fresh = again | self._fresh
                raise

    async def sweep(self) -> None:
        """Delete the receipts of what turns have stored; raises ``PyMongoError``."""
        async with self._busy:
            spent, self._spent = self._spent, []
            if not spent:
                return
            try:
                await self._book.forget(spent)
            except PyMongoError:
                self._spent += spent
                raise
