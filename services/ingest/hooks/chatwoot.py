"""Chatwoot's webhooks: conversations, messages and contacts, one a call.

Source: "Webhook events" in Chatwoot's documentation, and its pull request 13573 for the
signature: ``X-Chatwoot-Signature: sha256=<hex>``, an HMAC over timestamp, a dot and the
body. Secrets, one or both: ``webhook_secret`` (as Chatwoot shows it for the webhook), and,
for installations that do not sign, ``token`` (in the webhook's address, ``?token=...``). A
source with a ``webhook_secret`` believes nothing unsigned. Option ``tolerance_seconds``: how
old a signature may be (a day and an hour by default).

A contact's ``identifier`` becomes the userId only where Chatwoot says that it was verified
(``hmac_verified``): anybody may claim any other.
"""

from typing import Any

from schemas.validation import Fault
from services.ingest.hooks import chats, signature
from services.ingest.hooks.body import instant, parts, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated
from services.ingest.hooks.presented import BAD_SECRET, shown, stale, token
from services.ingest.hooks.reading import Tolerance, at, faults, nameless, text

_TOLERANCE = 90_000.0
KIND = "chatwoot"


class Chatwoot:
    """See ``services.ingest.hooks.model.Hook``."""

    kind = KIND
    secrets = ("webhook_secret", "token")
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """``tolerance_seconds``, optional."""
        return faults(options, Tolerance)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Fault | None:
        """Codes: missing_secret, bad_signature, stale_signature, bad_secret."""
        keys, tokens = secrets("webhook_secret"), secrets("token")
        if not keys:
            if not tokens:
                return signature.missing_secret("webhook_secret or token")
            return None if shown(tokens, token(delivery)) else BAD_SECRET
        timestamp = delivery.headers.get("x-chatwoot-timestamp", "")
        given = delivery.headers.get("x-chatwoot-signature", "").removeprefix("sha256=")
        return signature.check(
            [key.encode() for key in keys],
            timestamp.encode() + b"." + delivery.body,
            [given],
            encoding="hex",
        ) or stale(timestamp, delivery.received_at, options, _TOLERANCE)

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """At most one event."""
        said = read(delivery.body)
        if isinstance(said, Fault):
            return said
        translate = _TRANSLATIONS.get(text(said, "event") or "")
        event = translate(said) if translate is not None else None
        if event is None:
            return Translated(ignored=[Fault("not_translated", "Nothing for a timeline.")])
        return Translated([event])


def _message(said: Any) -> dict[str, Any] | None:
    direction = text(said, "message_type")
    visitor = _visitor(at(said, "conversation"), said)
    id_ = text(said, "id")
    if direction not in _DIRECTIONS or said.get("private") is True or not visitor or not id_:
        return None  # Notes among agents, and what Chatwoot itself tells the agents.
    by_visitor = direction in ("incoming", "0")
    agent = None if by_visitor else at(said, "sender")
    return chats.chat_event(
        KIND,
        visitor,
        chats.Said(
            name=chats.SENT if by_visitor else chats.RECEIVED,
            message_id=message_id(KIND, _account(said), "message", id_),
            at=_time(said, "created_at"),
            properties={
                **_of_conversation(at(said, "conversation"), said),
                "message_id": id_,
                "text": text(said, "content", most=chats.LONGEST_TEXT),
                "attachments": len(parts(said, "attachments")) or None,
                "automatic": True if direction in ("template", "3") else None,
                "agent_id": text(agent, "id"),
                "agent_name": text(agent, "name"),
            },
        ),
    )


def _created(said: Any) -> dict[str, Any] | None:
    return _turned(said, chats.STARTED, "created", "created_at")


def _status(said: Any) -> dict[str, Any] | None:
    if text(said, "status") == "resolved":
        return _turned(said, chats.ENDED, "resolved", "updated_at")
    before = [
        text(change, "status", "previous_value") for change in parts(said, "changed_attributes")
    ]
    if text(said, "status") == "open" and "resolved" in before:
        return _turned(said, chats.REOPENED, "reopened", "updated_at")
    return None


def _turned(said: Any, name: str, turn: str, when: str) -> dict[str, Any] | None:
    visitor, id_ = _visitor(said, said), text(said, "id")
    if visitor is None or id_ is None:
        return None
    # A conversation is resolved again and again, and created but once.
    moment = "" if turn == "created" else _moment(said, when)
    properties = _of_conversation(said, said)
    if turn == "resolved":
        began, ended = _time(said, "created_at"), _time(said, when)
        if began is not None and ended is not None and ended >= began:
            properties["conversation_duration"] = int((ended - began).total_seconds())
    return chats.chat_event(
        KIND,
        visitor,
        chats.Said(
            name=name,
            message_id=message_id(KIND, _account(said), "conversation", id_, turn, moment),
            at=_time(said, when),
            properties=properties,
        ),
    )


def _contact(said: Any) -> dict[str, Any] | None:
    visitor = _person(said, said, verified=False)
    if visitor is None:
        return None
    when = _moment(said, "updated_at") or _moment(said, "created_at")
    traits = {name: text(said, field) for name, field in _TRAITS.items()}
    digest = ",".join(f"{name}={value}" for name, value in traits.items() if value)
    return chats.chat_person(
        KIND,
        visitor,
        chats.Said(
            # A contact's payload has no id and often no time: its content tells one from another.
            message_id=message_id(
                KIND, visitor.id, text(said, "event") or "", when, nameless(digest)
            ),
            name="",
            at=instant(when),
            properties=traits,
        ),
    )


def _visitor(conversation: Any, said: Any) -> chats.Visitor | None:
    """The contact of a conversation: named in ``meta.sender``, or who sent the message."""
    contact = at(conversation, "meta", "sender")
    if text(contact, "id") is None:
        contact = at(said, "sender") if text(said, "sender", "type") == "contact" else None
    verified = (
        at(conversation, "meta", "hmac_verified") is True
        or at(conversation, "contact_inbox", "hmac_verified") is True
    )
    id_ = text(contact, "id") or text(conversation, "contact_inbox", "contact_id")
    return _person({**(contact or {}), "id": id_}, said, verified=verified)


def _person(contact: Any, said: Any, *, verified: bool) -> chats.Visitor | None:
    id_ = text(contact, "id")
    if id_ is None:
        return None
    return chats.Visitor(
        # Contacts are numbered from 1 in each installation and shared by its accounts.
        id=f"{KIND}:{_account(said)}:{id_}",
        external=[("chatwoot_contact_id", id_)],
        user_id=text(contact, "identifier") if verified else None,
        traits={name: text(contact, field) for name, field in _TRAITS.items()},
    )


def _of_conversation(conversation: Any, said: Any) -> dict[str, Any]:
    return {
        "conversation_id": text(conversation, "id"),
        "channel": text(conversation, "channel"),
        "inbox": text(said, "inbox", "name"),
    }


def _account(said: Any) -> str:
    return text(said, "account", "id") or text(said, "account_id") or ""


def _moment(said: Any, name: str) -> str:
    """A time as Chatwoot gives it: Unix seconds, or ISO 8601, or ``2026-03-03 13:05:57 UTC``."""
    value = at(said, name)
    return str(value).strip().removesuffix(" UTC") if value is not None else ""


def _time(said: Any, name: str) -> Any:
    value = at(said, name)
    return instant(_moment(said, name) if isinstance(value, str) else value)


_DIRECTIONS = frozenset({"incoming", "outgoing", "template", "0", "1", "3"})
_TRAITS = {"email": "email", "name": "name", "phone": "phone_number"}
_TRANSLATIONS = {
    "message_created": _message,
    "conversation_created": _created,
    "conversation_status_changed": _status,
    "contact_created": _contact,
    "contact_updated": _contact,
}
