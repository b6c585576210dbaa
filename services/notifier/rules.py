"""The notifier's decisions: whom to write to, once, and what follows from each attempt.

Pure: the instant is an argument, and what looks random is derived from the message id.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import HMAC
from typing import get_args

import msgspec
from msgspec.structs import replace

from schemas import addresses
from schemas.messages import Consent, MessageChanged, MessageState, SegmentChanged
from services.notifier.model import (
    RESPONSES,
    STEP,
    Campaign,
    Entry,
    LedgerState,
    Live,
    Outcome,
    Recipient,
    Retry,
    Step,
)

REACHED = frozenset({"attempting", "sent", "failed", "uncertain"})
"""States in which a person has, or may have, been written to."""
RESENDABLE = frozenset({"uncertain", "failed"})
_ANNOUNCED = frozenset(get_args(MessageState))


def message_id(campaign: str, profile_id: str, occurrence: int | None) -> str:
    """The id of a send key (campaign, step, profile, occurrence); None: once ever.

    The first 128 bits of SHA-256 over the key as a JSON array, in hex.
    """
    key = [campaign, STEP, profile_id, "once" if occurrence is None else occurrence]
    return sha256(msgspec.json.encode(key)).hexdigest()[:32]


def send_keys(campaign: str, rule: Campaign, change: SegmentChanged) -> tuple[str, list[str]]:
    """The message id for this entry into the segment, and those of the former profiles."""
    occurrence = None if rule.once else change.occurrence
    former = [message_id(campaign, id_, occurrence) for id_ in change.merged_from]
    return message_id(campaign, change.profile_id, occurrence), former


def decide(live: Live, change: SegmentChanged, source: str, now: datetime) -> Entry:
    """The one decision for this campaign, person and occurrence.

    The delay counts from the instant at which the person entered, not from now; what is
    expired on arrival (a replayed or very late event) is skipped at once, and so is what only
    imported history has brought about.
    """
    rule = live.campaign
    due_at = change.at + timedelta(seconds=rule.delay_seconds)
    expires_at = None
    if rule.expires_seconds is not None:
        expires_at = due_at + timedelta(seconds=rule.expires_seconds)
    entry = Entry(
        message_id=send_keys(live.key, rule, change)[0],
        profile_id=change.profile_id,
        source=source,
        campaign=live.key,
        campaign_version=live.version,
        segment=change.segment,
        occurrence=change.occurrence,
        once=rule.once,
        channel=rule.channel,
        decided_at=now,
        due_at=due_at,
        expires_at=expires_at,
        steps=[Step("decided", now)],
    )
    if change.history:
        return skip(entry, "imported_history", now)
    return skip(entry, "expired", now) if expired(entry, now) else entry


def carried_over(former: Iterable[Entry]) -> bool:
    """Whether something was still to be said to the person under a former profile id."""
    return any(entry.state == "decided" or entry.reason == "merged" for entry in former)


def expired(entry: Entry, now: datetime) -> bool:
    """The message is no longer worth sending."""
    return entry.expires_at is not None and entry.expires_at <= now


def skip(entry: Entry, reason: str, now: datetime) -> Entry:
    """The message will not be sent, and why."""
    return _step(entry, "skipped", now, reason)


def settle(entry: Entry, outcome: Outcome, retry: Retry, now: datetime) -> Entry | None:
    """The entry after the result of an attempt; None if that result is out of date.

    A late result also settles an entry that was already held to be uncertain.
    """
    if outcome.attempt != entry.attempt or entry.state not in (
        "decided",
        "attempting",
        "uncertain",
    ):
        return None
    if outcome.campaign_version:
        entry = replace(entry, campaign_version=outcome.campaign_version)
    if outcome.address:
        entry = replace(entry, address=outcome.address)
    if outcome.kind == "uncertain" and answered(entry):
        return confirm(entry, now)
    if outcome.kind == "postponed":
        return _again(entry, outcome, now + timedelta(seconds=backoff(entry, 1, retry)))
    if outcome.kind != "retry":
        return _step(entry, outcome.kind, outcome.at, outcome.reason, outcome.detail)
    tries = entry.tries + 1
    if tries >= retry.limit:
        return _step(entry, "failed", outcome.at, outcome.reason, f"gave up after {tries} tries")
    due_at = now + timedelta(seconds=backoff(entry, tries, retry))
    return replace(_again(entry, outcome, due_at), tries=tries)


def _again(entry: Entry, outcome: Outcome, due_at: datetime) -> Entry:
    last = entry.steps[-1]
    if (last.state, last.reason) == ("decided", outcome.reason):
        # A long outage is one line of history, not thousands.
        entry = replace(entry, steps=entry.steps[:-1])
    entry = _step(entry, "decided", outcome.at, outcome.reason, outcome.detail)
    # The attempt rises, so that a result that comes twice counts once.
    return replace(entry, due_at=due_at, attempt=entry.attempt + 1)


def backoff(entry: Entry, tries: int, retry: Retry) -> float:
    """Seconds until the next try: doubling, capped, with half of it spread by the id."""
    wait = min(retry.cap_seconds, retry.first_seconds * 2.0 ** min(tries - 1, 32))
    digest = sha256(f"{entry.message_id}/{entry.attempt}".encode()).digest()
    return wait * (0.5 + int.from_bytes(digest[:4], "big") / 2**33)


def abandon(entry: Entry, noted: Outcome | None, retry: Retry, now: datetime) -> Entry | None:
    """What becomes of an attempt whose sender is gone; None: nothing new.

    Where the sender could still note the result, that; where the mail was answered, it
    arrived; else nobody knows whether the server took the message, and it is never sent
    again by itself.
    """
    settled = settle(entry, noted, retry, now) if noted is not None else None
    if settled is not None or entry.state != "attempting":
        return settled
    return confirm(entry, now) if answered(entry) else _step(entry, "uncertain", now, "sender_lost")


def answered(entry: Entry) -> bool:
    """Something came back that only a mail that was sent can bring about."""
    return any(step.state in RESPONSES for step in entry.steps)


def confirm(entry: Entry, now: datetime) -> Entry:
    """It was sent after all: what came back says so."""
    return _step(entry, "sent", entry.begun_at or now, "confirmed")


def resend(entry: Entry, now: datetime, by: str) -> Entry:
    """Send an uncertain or failed message again because ``by`` (a role) says so."""
    again = _step(entry, "decided", now, "resend", f"by {by}")
    return replace(again, due_at=now, tries=0, attempt=entry.attempt + 1)


def twin(entry: Entry, survivor: str) -> str | None:
    """Where the person has become ``survivor``: the message of that profile's same key."""
    if survivor == entry.profile_id:
        return None
    return message_id(entry.campaign, survivor, None if entry.once else entry.occurrence)


def still_meant(entry: Entry, live: Live | None, now: datetime) -> str:
    """Why the message should not go, without looking at the person; "" if it should."""
    if expired(entry, now):
        return "expired"
    if live is None:
        return "campaign_deleted"
    if not live.campaign.enabled:
        return "campaign_disabled"
    if live.campaign.trigger.segment != entry.segment:
        return "campaign_changed"
    return ""


def refusal(recipient: Recipient | None, channel: str) -> str:
    """Why this person must not be written to; "" if they may be. Silence is no consent."""
    if recipient is None:
        return "no_profile"
    if granted(recipient, channel) is None:
        return "no_consent"
    return "" if address_of(recipient) else "no_address"


def granted(recipient: Recipient, channel: str) -> Consent | None:
    """The person's consent to this channel, if it stands."""
    consent = recipient.consent.get(channel)
    return consent if consent is not None and consent.state == "granted" else None


def address_of(recipient: Recipient) -> str:
    """The address to write to, in ASCII (IDNA domain), or "" when none is usable."""
    known = [one.value for one in recipient.identifiers if one.type == "email"]
    return addresses.address_of(recipient.traits.get("email"), known)


def address_hash(address: str, secret: bytes) -> str:
    """A stand-in for an address that cannot be turned back without the secret."""
    return HMAC(secret, b"address:" + address.casefold().encode(), "sha256").hexdigest()[:32]


def suppression_keys(channel: str, profile_ids: Iterable[str], address: str) -> list[str]:
    """The keys under which a person and an address (hash) may be suppressed."""
    keys = [f"{channel}/profile/{id_}" for id_ in dict.fromkeys(profile_ids)]
    return [*keys, f"{channel}/address/{address}"] if address else keys


def announcements(before: Entry | None, after: Entry) -> list[MessageChanged]:
    """The steps that ``after`` has and ``before`` had not, as they are published.

    Steps that only repeat "decided" (a retry, a resend) are history and not announced.
    """
    known = len(before.steps) if before is not None else 0
    fresh = range(known, len(after.steps))
    return [
        _announcement(after, after.steps, index)
        for index in fresh
        if after.steps[index].state in _ANNOUNCED
        and not (index and after.steps[index].state == "decided")
    ]


def _announcement(entry: Entry, steps: Sequence[Step], index: int) -> MessageChanged:
    step = steps[index]
    nth = sum(1 for earlier in steps[: index + 1] if earlier.state == step.state)
    counter = f"/{nth}" if nth > 1 else ""
    return MessageChanged(
        change_id=f"{entry.message_id}/{step.state}{counter}",
        message_id=entry.message_id,
        profile_id=entry.profile_id,
        campaign=entry.campaign,
        campaign_version=entry.campaign_version,
        state=step.state,  # type: ignore[arg-type]  # in _ANNOUNCED
        at=step.at,
        step=entry.step,
        occurrence=entry.occurrence,
        channel=entry.channel,
        reason=step.reason,
        detail=step.detail,
    )


def _step(
    entry: Entry, state: LedgerState, at: datetime, reason: str = "", detail: str = ""
) -> Entry:
    step = Step(state, at, reason, detail, entry.attempt)
    return replace(entry, state=state, reason=reason, steps=[*entry.steps, step])
