"""The turn's records, decoded: events and steps that fit, and decisions of people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from schemas.messages import Interaction
from schemas.topics import DECISIONS, MESSAGE_CHANGES
from schemas.validation import Fault
from services.profile.consent.rules import may_speak, speaks
from services.profile.resolve.model import Decision, Link, Merge
from services.profile.resolve.rules import interactions
from services.profile.resolve.rules.acceptance import (
    Arrival,
    accept_decision,
    accept_event,
    accept_step,
)
from services.profile.resolve.rules.identifiers import TRUSTED, Sender, link_of
from services.runtime.turn import Record, Source, Turn

_NOBODY = Fault("no_identifier", "No identifier tells one person from others.")
_NO_INTERACTION = "not_an_interaction"

Ruling = tuple[Source, Decision]
"""A decision of people, and where it came from."""


class Senders(Protocol):
    """What is known of the sources of events."""

    def of(self, source: str) -> Sender:
        """The sender of that name; one that nobody declared is trusted."""


class Everybody:
    """Senders of which nothing is declared."""

    def of(self, source: str) -> Sender:
        """Trusted."""
        return TRUSTED


class Accepted(Struct, eq=False):
    """A record that fits, and its interaction but for whose it is."""

    record: Record
    draft: Interaction
    link: Link | None
    """What it says of identity; None of a step of ours, which names its profile."""
    consent: bool
    """It may speak of consent."""
    merges: Sequence[Merge] = ()


def rulings_of(turn: Turn) -> list[Ruling]:
    """The decisions of people in the turn, in their order."""
    rulings: list[Ruling] = []
    for record in turn.records:
        if record.source.topic == DECISIONS.name:
            taken = accept_decision(record.value)
            if isinstance(taken, Fault):
                turn.reject(record, taken.code, taken.detail)
            else:
                rulings.append((record.source, taken))
    return rulings


def accepted(turn: Turn, senders: Senders) -> dict[str, Accepted]:
    """What fits, by interaction id: the first of each id, in the order of the batch."""
    batch: dict[str, Accepted] = {}
    for record in turn.records:
        if record.source.topic == DECISIONS.name:
            continue
        said, record.ahead = record.ahead or read(record, senders, turn.now), None
        if isinstance(said, Accepted):
            if batch.setdefault(said.draft.interaction_id, said) is not said:
                turn.drop("duplicate")
        elif isinstance(said, Fault):
            turn.reject(record, said.code, said.detail)
        else:
            turn.drop(said)
    return batch


def read(record: Record, senders: Senders, now: datetime) -> Accepted | Fault | str:
    """What a record says; or why it does not fit, or why it need not be looked at."""
    if record.source.topic == MESSAGE_CHANGES.name:
        return _read_step(record)
    taken = accept_event(record.value, Arrival(record.headers, record.timestamp), now)
    if isinstance(taken, Fault):
        return taken
    event, body = taken
    link = link_of(event, senders.of(event.source))
    if link is None:
        return _NOBODY
    draft = interactions.draft(event, body, link)
    return Accepted(record, draft, link, may_speak(draft.name, event.context))


def _read_step(record: Record) -> Accepted | Fault | str:
    kind = record.headers.get("ce_type")
    if kind is not None and kind not in interactions.STEP_TYPES:
        return _NO_INTERACTION
    step = accept_step(record.value)
    if isinstance(step, Fault):
        return step
    if step.state not in interactions.STEPS:
        return _NO_INTERACTION
    assert record.value is not None
    draft = interactions.draft_step(step, record.value)
    return Accepted(record, draft, None, speaks(draft.name, record.value))
