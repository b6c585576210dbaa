"""The way of one message on one connection, from "due" to what became of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal, Protocol

import structlog

from services.notifier import confirmation, rules
from services.notifier.campaigns import Campaigns
from services.notifier.gate import Gate
from services.notifier.mail import Mail, build, envelope_address
from services.notifier.model import Entry, Live, Outcome, Recipient, Start
from services.notifier.profiles import ProfilesAway
from services.notifier.receipts import Receipts
from services.notifier.settings import NotifierSettings, secret_of
from services.notifier.smtp import Connection, Refused, Unanswered, Unreachable
from services.notifier.templates import TemplateError, template_data
from services.notifier.unsubscribe import url
from services.runtime import metrics
from services.runtime.backoff import Backoff

log = structlog.get_logger()


class Profiles(Protocol):
    """Who a person is now; see ``profiles.Profiles``."""

    async def fetch(self, profile_id: str) -> Recipient | None:
        """The person; None when there is nobody; raises ``ProfilesAway``."""


@dataclass(frozen=True)
class Desk:
    """What all connections of a sender share."""

    settings: NotifierSettings
    campaigns: Campaigns
    profiles: Profiles
    gate: Gate
    receipts: Receipts
    letter: Live
    """The mail by which people are asked to confirm a consent."""


class Lane:
    """One connection's worth of sending: a message at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._secret = secret_of(desk.settings)
        self._connection = Connection(desk.settings)
        self.committed = False
        """The message in hand may have begun: to stop now would leave it uncertain."""

    async def deliver(self, entry: Entry, wanted: Callable[[], bool]) -> Outcome | None:
        """What became of the message; None when it is not ours to send any more.

        While the profile API or the mail server is away it waits, checking everything anew
        each time, and after a while gives the message back as postponed.
        """
        backoff, until = Backoff(0.1, 5.0), monotonic() + self._desk.settings.notifier_hold_seconds
        while wanted():
            try:
                return await self._try(entry)
            except (ProfilesAway, Unreachable) as error:
                cause = "profile_away" if isinstance(error, ProfilesAway) else "smtp_away"
            metrics.SENDER_WAITS.labels(cause).inc()
            log.warning("cannot send", cause=cause)
            if monotonic() >= until:
                return _outcome(entry, "postponed", cause)
            await asyncio.sleep(backoff.next())
        return None

    async def close(self) -> None:
        """End the connection politely."""
        await self._connection.quit()

    async def _try(self, entry: Entry) -> Outcome | None:
        desk = self._desk
        asks = entry.confirms is not None
        live = desk.letter if asks else desk.campaigns.get(entry.campaign)
        reason = rules.still_meant(entry, live, datetime.now(UTC))
        if live is None or reason:
            return _outcome(entry, "skipped", reason)
        recipient = await desk.profiles.fetch(entry.profile_id)
        reason = refusal(recipient, entry)
        if recipient is None or reason:
            return _outcome(entry, "skipped", reason)
        to = rules.address_of(recipient)
        try:
            message = self._compose(entry, live, recipient, to)
        except TemplateError as error:
            log.warning("template failed", campaign=entry.campaign, error=type(error).__name__)
            return _outcome(entry, "failed", "template_failed")
        start = self._start(entry, recipient, to)
        outcome = await self._send(start, envelope_address(live.campaign.from_), to, message)
        if outcome is not None:
            outcome.campaign_version = live.version
            outcome.address = rules.address_hash(to, self._secret)
            if outcome.attempt > entry.attempt:
                desk.receipts.keep(entry.source, outcome)
        return outcome

    def _compose(self, entry: Entry, live: Live, recipient: Recipient, to: str) -> bytes:
        settings, campaign = self._desk.settings, live.campaign
        templates = self._desk.campaigns.templates(live)
        data, link = self._data(entry, live, recipient)
        rendered = templates.render(data)
        mail = Mail(
            message_id=entry.message_id,
            domain=settings.notifier_message_domain,
            from_=campaign.from_,
            to=to,
            reply_to=campaign.reply_to,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            at=datetime.now(UTC),
            unsubscribe_url=link,
            campaign=entry.campaign,
        )
        return build(mail)

    def _data(self, entry: Entry, live: Live, recipient: Recipient) -> tuple[dict[str, Any], str]:
        """What the templates may name, and the link to unsubscribe, if there is one."""
        public_url = self._desk.settings.notifier_public_url
        if entry.confirms is None:
            link = url(public_url, entry.message_id, self._secret)
            return template_data(live, recipient, link), link
        asks = {
            "confirm_url": confirmation.url(public_url, entry, self._secret),
            "purpose": entry.confirms.purpose,
        }
        return {**template_data(live, recipient, ""), **asks}, ""

    def _start(self, entry: Entry, recipient: Recipient, to: str) -> Start:
        profiles = (recipient.profile_id, entry.profile_id)
        address = rules.address_hash(to, self._secret)
        if entry.confirms is None:
            about, twin = str(entry.channel), rules.twin(entry, recipient.profile_id)
        else:
            about, twin = confirmation.about(entry.confirms), None
            if recipient.profile_id != entry.profile_id:
                twin = confirmation.twin(entry, recipient.profile_id)
        return Start(
            entry,
            rules.suppression_keys(entry.channel, profiles, address),
            recipient.consent[about].at,  # ``refusal`` has seen it
            twin,
        )

    async def _send(self, start: Start, sender: str, to: str, message: bytes) -> Outcome | None:
        """Name sender and recipient, mark the ledger, send the text: in this order."""
        entry, begun = start.entry, 0
        started = monotonic()
        try:
            await self._connection.address(sender, to)
            self.committed = True
            began = await self._desk.gate.begin(start)
            if began != "begun":
                await self._connection.reset()
                return None if began == "gone" else _outcome(entry, "skipped", began)
            begun = 1
            await self._connection.data(message)
            metrics.SENDER_SECONDS.observe(monotonic() - started)
            return _outcome(entry, "sent", attempt=begun)
        except Refused as refused:
            return _refused(entry, refused, begun)
        except Unanswered:
            return _outcome(entry, "uncertain", "no_answer_to_data", attempt=begun)
        finally:
            self.committed = False


def refusal(recipient: Recipient | None, entry: Entry) -> str:
    """Why this message must not be sent to this person; "" if it may."""
    if entry.confirms is None:
        return rules.refusal(recipient, entry.channel)
    reason = confirmation.refusal(recipient, entry.confirms)
    if recipient is None or reason:
        return reason
    address = rules.address_of(recipient)
    if not address:
        return "no_address"
    return "address_changed" if confirmation.misdirected(entry.confirms, address) else ""


def _refused(entry: Entry, refused: Refused, begun: int) -> Outcome:
    kind: Literal["failed", "retry"] = "failed" if refused.permanent else "retry"
    outcome = _outcome(entry, kind, f"smtp_{refused.code}", refused.status, begun)
    outcome.bounced = refused.permanent and refused.no_such_address
    return outcome


def _outcome(
    entry: Entry,
    kind: Literal["sent", "skipped", "failed", "retry", "postponed", "uncertain"],
    reason: str = "",
    detail: str = "",
    attempt: int = 0,
) -> Outcome:
    return Outcome(
        message_id=entry.message_id,
        attempt=entry.attempt + attempt,
        kind=kind,
        at=datetime.now(UTC),
        reason=reason,
        detail=detail,
    )
