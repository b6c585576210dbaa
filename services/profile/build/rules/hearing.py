"""What is said of consent, taken in: of each channel and purpose whatever decides it.

Any order of messages leaves the same: of words and confirmations the latest stay. Of two words at
the same instant the more restrictive one does. ``consent`` says what follows from them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from schemas.messages import Confirmation
from services.profile.build.model import Confirmed, ConsentState, Firm, State
from services.profile.build.rules.values import utc
from services.profile.consent.model import Said, Word, key_of

MOST_ADDRESSES = 5
"""Of one purpose, at which it was confirmed; of more, those confirmed last are kept."""
MOST_PURPOSES = 20
"""Of one person, beside marketing; of more, the first by name are kept, whatever the order."""

_RESTRICTION: dict[Word, int] = {
    "none": -1, "granted": 0, "pending": 1, "unclear": 2, "denied": 3, "withdrawn": 4,
}  # fmt: skip
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Voice(NamedTuple):
    """The message that says a word, by whom (``Actor.kind``), and over which source."""

    at: datetime
    message_id: str
    source: str
    by: str = "person"
    repeated: bool = False
    """A page says it with every event, as it was once told."""


def hear(state: State, said: Iterable[Said], voice: Voice, touched: set[str]) -> None:
    """Take in what one message says, in any order of messages."""
    for key, word in said:
        kept = _kept(state, key, touched)
        if kept is not None and _hear(kept, word, voice):
            touched.add("consent." + key)


def _hear(kept: ConsentState, word: Word, voice: Voice) -> bool:
    changed = _mark(kept, word, voice)
    if not voice.repeated and _insist(kept, word, voice):
        changed = True
    heard = (voice.at, _RESTRICTION[word], voice.message_id)
    if kept.state == "none" or heard > (kept.at, _RESTRICTION[kept.state], kept.message_id):
        together = kept.state != "none" and kept.at == voice.at
        kept.conflict = together and (kept.conflict or kept.state != word)
        kept.state, kept.at, kept.message_id = word, voice.at, voice.message_id
        kept.source, kept.by = voice.source, voice.by
        return True
    if kept.at == voice.at and kept.state != word and not kept.conflict:
        kept.conflict = changed = True
    return changed


def _insist(kept: ConsentState, word: Word, voice: Voice) -> bool:
    """Keep the latest word that was said by itself; True if this is it."""
    old = kept.firm
    heard = (voice.at, _RESTRICTION[word], voice.message_id)
    if old is not None and heard <= (old.at, _RESTRICTION[old.state], old.message_id):
        return False
    kept.firm = Firm(word, voice.at, voice.message_id, voice.source, voice.by)
    return True


def _mark(kept: ConsentState, word: Word, voice: Voice) -> bool:
    """Keep the latest grant of each source, refusal and withdrawal; True if one is new."""
    if word == "pending":
        return False
    if word == "granted":
        old = kept.grants.get(voice.source)
        if old is not None and old >= voice.at:
            return False
        kept.grants[voice.source] = voice.at
        return True
    changed = False
    if kept.refused_at is None or kept.refused_at < voice.at:
        kept.refused_at, changed = voice.at, True
    if word == "withdrawn" and (kept.withdrawn_at is None or kept.withdrawn_at < voice.at):
        kept.withdrawn_at, changed = voice.at, True
    return changed


def confirm(
    state: State, channel: str, confirms: Confirmation, voice: Voice, touched: set[str]
) -> None:
    """Take in that the person has confirmed a statement, which need not be known yet.

    It holds for the address that the link was sent to; without one it confirms nothing.
    """
    key = key_of(channel, confirms.purpose)
    if not confirms.address:
        return
    kept = _kept(state, key, touched)
    if kept is None:
        return
    confirmed = Confirmed(utc(confirms.statement_at), voice.at, voice.message_id)
    known = kept.confirmed or {}
    old = known.get(confirms.address)
    if old is None or old.order < confirmed.order:
        known[confirms.address] = confirmed
        if len(known) > MOST_ADDRESSES:
            del known[min(known, key=lambda address: (known[address].order, address))]
        kept.confirmed = known
        touched.add("consent." + key)


def _kept(state: State, key: str, touched: set[str]) -> ConsentState | None:
    """What is kept of ``key``; None where it is one purpose too many."""
    kept = state.consent.get(key)
    if kept is not None:
        return kept
    if "/" in key:
        purposes = [known for known in state.consent if "/" in known]
        if len(purposes) >= MOST_PURPOSES:
            last = max(purposes)
            if key > last:
                return None
            del state.consent[last]
            touched.add("consent." + last)
    kept = state.consent[key] = ConsentState("none", NEVER, "", "")
    return kept
