"""The turn's part of double opt-in: who is asked to have a grant confirmed, and how often."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from schemas.messages import ConsentRequested
from services.notifier import confirmation, rules
from services.notifier.draft import Draft
from services.notifier.model import Entry
from services.runtime.turn import Source, Turn

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_COUNTED = rules.REACHED | {"decided"}


class Terms(Struct, frozen=True):
    """How long a link works, and how many mails one person, and one address, gets."""

    life: timedelta = timedelta(days=7)
    hourly: int = 5
    """Within an hour, whatever they are about: addresses of others may be typed in."""
    daily: int = 10
    """To one address within a day, whoever gives it as theirs."""
    most: int = 5
    """That ask for the same, to the same address, until it is refused."""


def ids_of(requests: Iterable[tuple[Source, ConsentRequested]]) -> set[str]:
    """The entries that must be known before these are decided."""
    ids = set[str]()
    for _, asked in requests:
        for again in _keys(asked):
            message_id, former = confirmation.message_ids(asked, again)
            ids.update((message_id, *former))
    return ids


class Asked(Struct, frozen=True):
    """Whose former requests count, since they may be about to get one more mail."""

    people: set[str]
    addresses: set[str]
    since: datetime
    """Of addresses, only from then on."""


def about(
    requests: Iterable[tuple[Source, ConsentRequested]], draft: Draft, now: datetime
) -> Asked | None:
    """What must be known of former requests before these are decided; None: nothing."""
    found = Asked(set(), set(), now - DAY)
    for _, asked in requests:
        if asked.address and (asked.explicit or _known(draft, asked, asked.again) is None):
            found.people.update((asked.profile_id, *asked.merged_from))
            found.addresses.add(asked.address)
    return found if found.people else None


def ask(turn: Turn, draft: Draft, request: tuple[Source, ConsentRequested], terms: Terms) -> None:
    """Decide on one request, unless the person was asked already, under whatever id.

    Who says again that they want it (an explicit statement), or wants another link in place of
    one that has ended, is asked again, within limits.
    """
    source, asked = request
    if not asked.address:
        turn.drop("address_unknown")  # of an earlier version: what is not bound confirms nothing
        return
    again, first = asked.again, _known(draft, asked, asked.again)
    explicit = asked.explicit and not again
    if first is not None and explicit and _statement(first) != asked.statement_id:
        again = asked.statement_id
        first = _known(draft, asked, again)
    if first is not None:
        turn.drop("already_decided")
        return
    if _too_often(turn, draft, asked, terms):
        turn.drop("asked_too_often")
        return
    for key in confirmation.message_ids(asked, again)[1]:
        entry = draft.entries.get(key)
        if entry is not None and entry.state == "decided":  # the person goes on under another id
            draft.put(rules.skip(entry, "merged", turn.now), source)
    draft.put(confirmation.decide(asked, source.id, turn.now, terms.life, again), source)


def _keys(asked: ConsentRequested) -> tuple[str, ...]:
    """Why it may be asked once more: as ``again`` of ``confirmation.message_ids``."""
    if asked.again:
        return (asked.again,)
    return ("", asked.statement_id) if asked.explicit else ("",)


def _known(draft: Draft, asked: ConsentRequested, again: str = "") -> Entry | None:
    """The decision that was taken on this request: under this id, or a mail under a former one."""
    message_id, former = confirmation.message_ids(asked, again)
    if message_id in draft.entries:
        return draft.entries[message_id]
    found = (draft.entries[key] for key in former if key in draft.entries)
    return next((entry for entry in found if entry.state in rules.REACHED), None)


def _statement(entry: Entry) -> str:
    return "" if entry.confirms is None else entry.confirms.statement_id


def _too_often(turn: Turn, draft: Draft, asked: ConsentRequested, terms: Terms) -> bool:
    people = {asked.profile_id, *asked.merged_from}
    hourly = most = daily = 0
    for entry in draft.entries.values():
        confirms = entry.confirms
        if confirms is None or entry.state not in _COUNTED:
            continue
        if confirms.address == asked.address:
            daily += entry.decided_at > turn.now - DAY
        if entry.profile_id not in people:
            continue
        hourly += entry.decided_at > turn.now - HOUR
        same = (confirms.purpose, confirms.address, entry.refused_at)
        most += same == (asked.purpose, asked.address, asked.since)
    return hourly >= terms.hourly or most >= terms.most or daily >= terms.daily
