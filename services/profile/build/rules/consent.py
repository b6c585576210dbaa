"""Consent as it stands: what a person last said, and whether we may message them now.

Fail-closed: no record means no message; of two words at the same instant the more restrictive
one holds; what cannot be understood, or must be confirmed and is not, is no permission.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

from services.profile.build.model import ConsentState, Firm, State
from services.profile.build.rules.hearing import NEVER
from services.profile.build.rules.mailbox import mailbox
from services.profile.build.rules.values import utc
from services.profile.consent.model import MARKETING, Word, key_of, parts_of
from services.profile.consent.rules import WEB

_PERMISSIVE = frozenset({"granted", "pending"})


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
    last: ConsentState | Firm = kept
    word: Word = kept.state
    reason = _reason(word)
    if word in _PERMISSIVE:
        word, reason = _granted(state, key, refused_at(state, key) or NEVER, policy)
        firm = _overruling(kept, key) if reason != "consent_confirmed" else None
        if firm is not None:
            last, word, reason = firm, firm.state, _reason(firm.state)
    elif kept.conflict and word != "unclear":
        reason = "consent_conflicting"
    return Permission(
        word == "granted", word, last.at, reason, last.message_id, last.source, last.by
    )


def _reason(word: Word) -> str:
    return "consent_not_understood" if word == "unclear" else f"consent_{word}"


def _overruling(kept: ConsentState, key: str) -> Firm | None:
    """The refusal that what a page repeats does not lift: it has not heard of it.

    Of what a site may do with a visit the page itself is told, so there its last word holds.
    """
    firm = kept.firm
    if firm is None or firm.state in _PERMISSIVE:
        return None
    return None if parts_of(key)[0] == WEB else firm


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
        if parts_of(key)[0] == "email"
        and "pending" in (standing(before, key, policy).state, standing(now, key, policy).state)
    }


def overruled(before: State, now: State, touched: Collection[str], policy: Policy) -> set[str]:
    """The names of other purposes that ``touched`` marketing consent has changed the answer of."""
    return {
        f"consent.{key}"
        for key in now.consent
        if f"consent.{parts_of(key)[0]}" in touched
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
