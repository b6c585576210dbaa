"""Double opt-in: one mail that asks a person to confirm what they granted, and its link.

Pure. The mail belongs to no campaign and needs no consent to marketing, since it is what the
person asked for; all else about it (the ledger, exactly once, suppressions) is as for any other.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

import msgspec

from schemas.addresses import digest_of
from schemas.messages import Confirmation, ConsentRequested, MessageChanged
from services.notifier import rules
from services.notifier.model import STEP, Campaign, Entry, Live, Recipient, Step, Trigger
from services.notifier.settings import NotifierSettings

KEY = "_confirmation"
"""What the ledger and the reports call these messages; no campaign can have this key."""
PENDING = "consent_pending"
"""The reason by which the profile says that a grant waits for its confirmation."""

TEXT = """Hello{% if traits.firstName %} {{ traits.firstName }}{% endif %},

somebody, probably you, asked us to send emails to this address. Please confirm:

{{ confirm_url }}

If it was not you, do nothing: you will get no emails from us.
"""

_ID_BYTES = 16
_TIME_BYTES = 5
_MAC_BYTES = 16


def message_ids(asked: ConsentRequested, again: str = "") -> tuple[str, list[str]]:
    """The message id of this request, and those it would have had for the former profiles.

    ``again``: the statement, or the hour, because of which it is asked once more.
    """
    about = (asked.purpose, asked.address, again)
    ids = [
        _digest(profile_id, asked.channel, about, asked.since)
        for profile_id in (asked.profile_id, *asked.merged_from)
    ]
    return ids[0], ids[1:]


def twin(entry: Entry, survivor: str) -> str:
    """The message of the same request for the profile that the person has become."""
    assert entry.confirms is not None
    about = (entry.confirms.purpose, entry.confirms.address, entry.again)
    return _digest(survivor, entry.channel, about, entry.refused_at)


def _digest(
    profile_id: str, channel: str, about: tuple[str, str, str], since: datetime | None
) -> str:
    key = [KEY, STEP, profile_id, channel, *about, since and since.astimezone(UTC)]
    return sha256(msgspec.json.encode(key)).hexdigest()[:32]


def decide(
    asked: ConsentRequested, source: str, now: datetime, life: timedelta, again: str = ""
) -> Entry:
    """The one decision for this request; the mail is worth sending while its link would work."""
    entry = Entry(
        message_id=message_ids(asked, again)[0],
        profile_id=asked.profile_id,
        source=source,
        campaign=KEY,
        campaign_version=0,
        segment="",
        occurrence=1,
        channel="email",
        step=STEP,
        decided_at=now,
        due_at=now,
        expires_at=(asked.asked_at or asked.statement_at) + life,
        steps=[Step("decided", now)],
        confirms=Confirmation(
            purpose=asked.purpose,
            statement_id=asked.statement_id,
            statement_at=asked.statement_at,
            address=asked.address,
        ),
        refused_at=asked.since,
        again=again,
    )
    return rules.skip(entry, "expired", now) if rules.expired(entry, now) else entry


def refusal(recipient: Recipient | None, confirms: Confirmation) -> str:
    """Why the person need not be asked any more; "" if they must."""
    if recipient is None:
        return "no_profile"
    said = recipient.consent.get(about(confirms))
    if said is None or (said.state != "granted" and said.reason != PENDING):
        return "no_consent"
    return "already_confirmed" if said.state == "granted" else ""


def misdirected(confirms: Confirmation, address: str) -> bool:
    """Whether ``address`` is another one than that which is to be confirmed."""
    return confirms.address != digest_of(address)


def same(one: Entry, other: Entry) -> bool:
    """Whether both messages ask one person for one purpose at one address."""
    first, second = one.confirms, other.confirms
    return (
        first is not None
        and second is not None
        and (one.profile_id, one.channel) == (other.profile_id, other.channel)
        and (first.purpose, first.address) == (second.purpose, second.address)
    )


def about(confirms: Confirmation) -> str:
    """By which name the profile's consent has it: ``email``, ``email/newsletter``."""
    return "email" if confirms.purpose == "marketing" else f"email/{confirms.purpose}"


def letter(settings: NotifierSettings) -> Live:
    """The mail, in the words of the settings, as if it were a campaign's."""
    sender = settings.notifier_confirm_from or f"confirm@{settings.notifier_message_domain}"
    return Live(
        KEY,
        0,
        Campaign(
            name="Confirmation",
            trigger=Trigger(segment=""),
            from_=sender,
            subject=settings.notifier_confirm_subject,
            text=settings.notifier_confirm_text or TEXT,
            html=settings.notifier_confirm_html or None,
        ),
    )


def confirmed(entry: Entry, at: datetime, ip: str) -> MessageChanged:
    """The step by which the person confirmed; its id is always the same."""
    assert entry.confirms is not None
    return MessageChanged(
        change_id=f"{entry.message_id}/confirmed",
        message_id=entry.message_id,
        profile_id=entry.profile_id,
        campaign=entry.campaign,
        campaign_version=entry.campaign_version,
        state="clicked",
        at=at,
        step=entry.step,
        occurrence=entry.occurrence,
        channel=entry.channel,
        reason="consent_confirmed",
        confirms=msgspec.structs.replace(entry.confirms, ip=ip),
    )


def anew(entry: Entry, now: datetime) -> ConsentRequested:
    """To ask once more for what this message asked, of which the link has ended.

    Whatever its reader does within an hour is one request.
    """
    assert entry.confirms is not None
    return ConsentRequested(
        profile_id=entry.profile_id,
        channel=entry.channel,
        purpose=entry.confirms.purpose,
        statement_id=entry.confirms.statement_id,
        statement_at=entry.confirms.statement_at,
        since=entry.refused_at,
        address=entry.confirms.address,
        asked_at=now,
        again=f"link/{now.astimezone(UTC):%Y-%m-%dT%H}",
    )


# -- the link -------------------------------------------------------------------------------


def token(message_id: str, expires_at: datetime, secret: bytes) -> str:
    """The message's id, when the link ends and a MAC over both: 50 URL-safe characters."""
    seconds = int(expires_at.timestamp())
    raw = bytes.fromhex(message_id) + seconds.to_bytes(_TIME_BYTES, "big")
    return urlsafe_b64encode(raw + _mac(raw, secret)).rstrip(b"=").decode("ascii")


def opened(token: str, secret: bytes) -> tuple[str, datetime] | None:
    """(message id, when the link ends) of a token of ours; None for anything else."""
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (Base64Error, ValueError):
        return None
    said, mac = raw[: _ID_BYTES + _TIME_BYTES], raw[_ID_BYTES + _TIME_BYTES :]
    if len(said) != _ID_BYTES + _TIME_BYTES or not hmac.compare_digest(mac, _mac(said, secret)):
        return None
    seconds = int.from_bytes(said[_ID_BYTES:], "big")
    return said[:_ID_BYTES].hex(), datetime.fromtimestamp(seconds, UTC)


def url(public_url: str, entry: Entry, secret: bytes) -> str:
    """The address for the mail: it works until the message expires."""
    expires_at = entry.expires_at or entry.decided_at
    query = urlencode({"token": token(entry.message_id, expires_at, secret)})
    return f"{public_url.rstrip('/')}/v1/consent/confirm?{query}"


def _mac(raw: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"confirm:" + raw, "sha256")[:_MAC_BYTES]
