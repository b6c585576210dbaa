"""``message_funnel`` and ``message_reasons``: what became of each campaign's messages.

A message counts once in each state that it ever reached, on the day it first did, however
often a mail program reports an opening.
"""

from collections.abc import Iterator
from typing import get_args

from schemas.messages import MessageChanged, MessageState
from services.reporting.model import Cells, Column, Step, Table, Told
from services.reporting.rules.money import day

STATES: tuple[str, ...] = get_args(MessageState)
WITH_REASONS = ("skipped", "failed", "bounced")
REASON_LENGTH = 100


def fold(told: Told | None, change: MessageChanged) -> Told:
    """The message after one more report of it; order and repetition do not matter."""
    step = Step(change.at, change.change_id, change.reason[:REASON_LENGTH])
    if told is None:
        return Told(change.campaign, {change.state: step})
    known = told.steps.get(change.state)
    if known is not None and known <= step:
        return told
    return Told(told.campaign, {**told.steps, change.state: step})


def funnel(told: Told) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """One message, once in each of its states."""
    for state, step in told.steps.items():
        yield day(step.at), (told.campaign,), {state: 1}


def reasons(told: Told) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """Why a message was not sent or did not arrive."""
    for state in WITH_REASONS:
        step = told.steps.get(state)
        if step is not None:
            yield day(step.at), (told.campaign, state, step.reason), {"messages": 1}


CAMPAIGN = Column("campaign", "text", "Campaign")

FUNNEL: Table[Told] = Table(
    name="message_funnel",
    title="Message funnel",
    description=(
        "How many messages of each campaign reached each state within the asked days. "
        "A message counts once a state, on the day it first reached it."
    ),
    topic="message.changes",
    keys=(CAMPAIGN,),
    measures=tuple(Column(state, "messages", state.capitalize()) for state in STATES),
    contribution=funnel,
    by_period=False,
    rank=("decided",),
)
REASONS: Table[Told] = Table(
    name="message_reasons",
    title="Why messages did not arrive",
    description="Messages skipped, failed or bounced within the asked days, by reason.",
    topic="message.changes",
    keys=(
        CAMPAIGN,
        Column("state", "text", "State"),
        Column("reason", "text", "Reason", "A code, such as no_consent."),
    ),
    measures=(Column("messages", "messages", "Messages"),),
    contribution=reasons,
    by_period=False,
    rank=("messages",),
)
