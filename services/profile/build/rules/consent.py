"""Consent as it stands: what a person last said, and whether we may message them now.

Fail-closed: no record means no message; of two words at the same instant the more restrictive
one holds; what cannot be understood, or must be confirmed and is not, is no permission.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from msgspec import Struct

from schemas.messages import Confirmation
from services.profile.build.model import Confirmed, ConsentState, State
from services.profile.build.rules.mailbox import mailbox
from services.profile.build.rules.values import utc
from services.profile.consent.model import MARKETING, Said, Word, key_of, parts_of
from services.profile.consent.rules import WEB

MOST_ADDRESSES = 5
"""Of one purpose, at which it was confirmed; of more, those confirmed last are kept."""
MOST_PURPOSES = 20
"""Of one person, beside marketing; of more, the first by name are kept, whatever the order."""

_RESTRICTION: dict[Word, int] = {
    "none": -1, "granted": 0, "pending": 1, "unclear": 2, "denied": 3, "withdrawn": 4,
}  # fmt: skip
_PERMISSIVE = frozenset({"granted", "pending"})
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Voice(NamedTuple):
    """The message that says a word, by whom (``Actor.kind``), and over which source."""

    at: datetime
    message_id: str
    source: str
    by: str = "person"


class Policy(Struct, frozen=True):
    """Which grants must be confirmed before they count (double opt-in)."""

    patterns: tuple[tuple[str, str, datetime], ...] = ()
    """(what it is about, source, from when), the texts with ``*`` for anything."""

    @classmethod
    def of(cls, rules: Sequence[str]) -> "Policy":
        """From ``email``, ``email/newsletter@website``, ``*@website since 2026-03-01``.

        ``ValueError`` for a date that is none; it begins at midnight UTC.
        """
        patterns = []
        for rule in rules:
            pattern, _, day = rule.partition(" since ")
            key, _, source = pattern.strip().partition("@")
            since = utc(datetime.fromisoformat(day.strip())) if day else NEVER
            patterns.append((key.strip(), source.strip() or "*", since))
        return cls(tuple(sorted(patterns)))

    def requires(self, key: str, source: str, at: datetime) -> bool:
        """Whether a grant of ``key`` by way of ``source`` must be confirmed."""
        return any(
            at >= since and fnmatchcase(key, about) and fnmatchcase(source, way)
            for about, way, since in self.patterns
        )

    def __str__(self) -> str:
        return ";".join(f"{about}@{way}>{since.isoformat()}" for about, way, since in self.patterns)


OPEN = Policy()
"""Nothing needs to be confirmed."""


def hear(state: State, said: Iterable[Said], voice: Voice, touched: set[str]) -> None:
    """Take in what one message says, in any order of messages."""
    for key, word in said:
        kept = _kept(state, key, touched)
        if kept is not None and _hear(kept, word, voice):
            touched.add("consent." + key)


def _hear(kept: ConsentState, word: Word, voice: Voice) -> bool:
    changed = _mark(kept, word, voice)
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


class Permission(Struct, frozen=True):
    """May we message this person on this channel now, and why (not)."""

    allowed: bool
    state: Word
    since: datetime | None
    reason: str
    message_id: str = ""
    """The message that says so; empty where none does."""
    source: str = ""
    by: str = ""
    """``person``, ``agent``, ``import`` or ``provider``."""


def permission(
    state: State | None, channel: str, purpose: str = MARKETING, policy: Policy = OPEN
) -> Permission:
    """The answer for one person; ``state`` None: nobody is known by that id."""
    if state is None:
        return Permission(False, "none", None, "unknown_profile")
    return standing(state, key_of(channel, purpose), policy)


def standing(state: State, key: str, policy: Policy = OPEN) -> Permission:
    """What holds for one ``key`` of a person.

    A withdrawal of marketing on a channel on which people are written to takes back what was
    granted before for any other purpose.
    """
    kept = state.consent.get(key)
    if kept is None or kept.state == "none":
        return Permission(False, "none", None, "no_consent_recorded")
    withdrawn = _withdrawn(state, key)
    if withdrawn is not None and withdrawn >= kept.at:
        return Permission(False, "withdrawn", withdrawn, "marketing_withdrawn")
    word, reason = kept.state, f"consent_{kept.state}"
    if word == "unclear":
        reason = "consent_not_understood"
    elif word in _PERMISSIVE:
        word, reason = _granted(state, key, refused_at(state, key) or NEVER, policy)
    elif kept.conflict:
        reason = "consent_conflicting"
    return Permission(
        word == "granted", word, kept.at, reason, kept.message_id, kept.source, kept.by
    )


def refused_at(state: State, key: str) -> datetime | None:
    """When the person last refused this: what was granted or confirmed before is void."""
    kept = state.consent.get(key)
    times = (kept.refused_at if kept is not None else None, _withdrawn(state, key))
    return max((at for at in times if at is not None), default=None)


def _withdrawn(state: State, key: str) -> datetime | None:
    """When marketing was last withdrawn on the channel of another purpose."""
    channel, purpose = parts_of(key)
    if purpose == MARKETING or channel == WEB:
        return None
    marketing = state.consent.get(channel)
    return None if marketing is None else marketing.withdrawn_at


def grants_of(state: State) -> set[str]:
    """The names of what another policy may judge in another way."""
    return {f"consent.{key}" for key, kept in state.consent.items() if kept.state in _PERMISSIVE}


def readdressed(before: State, now: State, policy: Policy) -> set[str]:
    """The names of what another address leaves unconfirmed, or finds confirmed."""
    if mailbox(before.traits, before.identifiers) == mailbox(now.traits, now.identifiers):
        return set()
    return {
        f"consent.{key}"
        for key, kept in now.consent.items()
        if kept.state in _PERMISSIVE
        and parts_of(key)[0] == "email"
        and "pending" in (standing(before, key, policy).state, standing(now, key, policy).state)
    }


def overruled(before: State, now: State, touched: Iterable[str], policy: Policy) -> set[str]:
    """The names of other purposes that ``touched`` marketing consent has changed the answer of."""
    channels = {name.removeprefix("consent.") for name in touched if name.startswith("consent.")}
    return {
        f"consent.{key}"
        for key in now.consent
        if "/" in key
        and parts_of(key)[0] in channels
        and standing(before, key, policy) != standing(now, key, policy)
    }


def _granted(
    state: State, key: str, refused: datetime, policy: Policy
) -> tuple[Literal["granted", "pending"], str]:
    kept = state.consent[key]
    if kept.confirmed is not None:  # rarely: then it is worth knowing the address
        confirmed = kept.confirmed.get(mailbox(state.traits, state.identifiers))
        if confirmed is not None and confirmed.of > refused:
            return "granted", "consent_confirmed"
    for source, at in kept.grants.items() if kept.state == "granted" else ():
        if at > refused and not policy.requires(key, source, at):
            return "granted", "consent_granted"
    return "pending", "consent_pending"
