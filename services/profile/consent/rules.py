"""How consent is said: the words that an event speaks, of which channel and purpose.

Pure. Resolve marks the interactions that speak of consent, build folds their words, and the
ledger lists them: all three read by these rules.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from services.profile.consent.model import MARKETING, Actor, Said, Word, key_of

CHANNELS = {
    "email": "email",
    "email_marketing": "email",
    "marketing_email": "email",
    "newsletter": "email",
    "sms": "sms",
    "sms_marketing": "sms",
    "marketing_sms": "sms",
    "push": "push",
    "push_marketing": "push",
    "marketing_push": "push",
    "webhook": "webhook",
    "web": "web",
}
"""Channel or consent category (lower case, ``_`` for space and dash) -> channel of marketing."""

WRITTEN = ("email", "sms", "push", "webhook")
"""Channels on which somebody is written to."""

WEB = "web"
"""The channel of every other category, such as ``analytics``: what a site may do with a visit."""

WITHDRAWALS = frozenset({"Unsubscribed", "Email Marked as Spam"})
"""Events by which a person takes back consent to email."""
MESSAGE_WITHDRAWALS = frozenset({"Message Unsubscribed", "Message Complained"})
"""Steps of our own messages by which consent to the message's channel is taken back."""
CONFIRMATION = "Message Clicked"
"""The step of a message that asked for it by which a grant is confirmed."""
STEPS = MESSAGE_WITHDRAWALS | {CONFIRMATION}
"""Every step of a message that may speak of consent."""
UPDATED = "Consent Updated"
CHOSEN = frozenset({UPDATED, "Segment Consent Preference Updated"})
"""Events that are sent because somebody has chosen: their preferences are no repetition."""

_SPOKEN = WITHDRAWALS | MESSAGE_WITHDRAWALS | {UPDATED}
_CODE = re.compile(r"[a-z0-9][a-z0-9_]{0,49}")
_WORDS: dict[str, Word] = {
    "granted": "granted",
    "opted_in": "granted",
    "subscribed": "granted",
    "true": "granted",
    "pending": "pending",
    "unconfirmed": "pending",
    "denied": "denied",
    "false": "denied",
    "withdrawn": "withdrawn",
    "opted_out": "withdrawn",
    "unsubscribed": "withdrawn",
    "revoked": "withdrawn",
}
_REPORTED = frozenset({"Unsubscribed", "Email Marked as Spam", "Message Complained"})
_LONGEST = 200


def speaks(name: str, event: bytes) -> bool:
    """Whether an interaction may say anything of consent; ``event`` is its encoded body."""
    if name in _SPOKEN or b'"categoryPreferences"' in event:
        return True
    return name == CONFIRMATION and b'"confirms"' in event


def may_speak(name: str, context: Mapping[str, Any]) -> bool:
    """The same of an event whose ``context`` is decoded: its text need not be searched."""
    return name in _SPOKEN or "consent" in context


def preferences(categories: Any) -> Iterator[Said]:
    """What ``context.consent.categoryPreferences`` say: true grants, false denies.

    A category that is no channel of marketing is a purpose of the channel ``web``.
    """
    if not isinstance(categories, dict):
        return
    for category, granted in categories.items():
        key = _category(category, MARKETING)
        if key is None:
            continue
        if isinstance(granted, bool):
            yield key, "granted" if granted else "denied"
        else:
            yield key, "unclear"


def updated(said: dict[str, Any]) -> list[Said]:
    """What a Consent Updated event says; nothing, where it names nothing that we know.

    Its properties are ``channel`` (or ``category``), ``purpose``, and ``state``, or ``granted``
    (true or false); a grant that becomes false is a withdrawal. A refusal that names a purpose
    and no channel holds for every channel; a grant like that holds for none.
    """
    word = _word(said)
    purpose = said.get("purpose", MARKETING)
    code = _code(purpose) if isinstance(purpose, str) else None
    if code is None:
        code, word = MARKETING, "unclear"
    named = said.get("channel", said.get("category"))
    if named is None:
        refused = "purpose" in said and word in ("denied", "withdrawn")
        return [(key_of(channel, code), word) for channel in WRITTEN] if refused else []
    if "channel" in said:
        channel = CHANNELS.get(_plain(named))
        key = None if channel is None else key_of(channel, code)
    else:
        key = _category(str(named), code)
    return [] if key is None else [(key, word)]


def actor_of(name: str, history: bool, properties: dict[str, Any]) -> Actor:
    """By whom it was said: ``actor`` of the properties, or what the event's way tells."""
    actor = properties.get("actor")
    if isinstance(actor, str) and actor.strip():
        return Actor("agent", actor.strip()[:_LONGEST])
    if isinstance(actor, dict) and actor.get("kind", "agent") == "agent":
        return Actor("agent", str(actor.get("name", "")).strip()[:_LONGEST])
    return Actor(kind_of(name, history))


def kind_of(name: str, history: bool) -> Literal["person", "import", "provider"]:
    """By whom an event was said that names nobody itself."""
    if history:
        return "import"
    return "provider" if name in _REPORTED else "person"


def _word(said: dict[str, Any]) -> Word:
    granted = said.get("granted")
    if isinstance(granted, bool):
        return "granted" if granted else "withdrawn"
    return _WORDS.get(_plain(said.get("state")), "unclear")


@lru_cache(maxsize=1_000)
def _category(category: str, purpose: str) -> str | None:
    plain = _plain(category)
    channel = CHANNELS.get(plain)
    if channel is not None:
        return key_of(channel, purpose)
    code = _code(plain)
    return None if code is None else key_of(WEB, code)


def _code(value: str) -> str | None:
    plain = _plain(value)
    return plain if _CODE.fullmatch(plain) else None


def _plain(value: Any) -> str:
    return str(value).strip().lower().replace(" ", "_").replace("-", "_")
