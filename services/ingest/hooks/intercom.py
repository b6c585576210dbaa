"""Intercom's webhooks, and those of tools that speak like it: one notification a call.

Source: "Webhooks" and "Webhook topics" in Intercom's developer documentation. Secret
``client_secret``: ``X-Hub-Signature: sha1=<hex>`` is an HMAC-SHA1 of the body under it.
Option ``user_ids``: true when a contact's ``external_id`` is the shop's own user id and
Intercom verifies it (identity verification); then it becomes the userId. Without, it is
kept in ``context.externalIds`` alone, since anybody may claim any.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks import chats, signature
from services.ingest.hooks.body import instant, parts, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated
from services.ingest.hooks.plain import from_html
from services.ingest.hooks.reading import at, clip, faults, text

KIND = "intercom"


class IntercomOptions(Struct, forbid_unknown_fields=True):
    """The options of a source of this kind."""

    user_ids: bool = False


class Intercom:
    """See ``services.ingest.hooks.model.Hook``."""

    kind = KIND
    secrets = ("client_secret",)
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """``user_ids``, optional."""
        return faults(options, IntercomOptions)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Fault | None:
        """The signature is over the body alone; a repetition counts once."""
        given = delivery.headers.get("x-hub-signature", "").removeprefix("sha1=")
        keys = [key.encode() for key in secrets("client_secret")]
        return signature.check(keys, delivery.body, [given], "sha1", "hex")

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """The events of one notification: a new conversation is a message too."""
        said = read(delivery.body)
        if isinstance(said, Fault):
            return said
        topic = text(said, "topic") or ""
        item = at(said, "data", "item")
        trust = options.get("user_ids") is True
        if topic.startswith("conversation."):
            found = list(_conversation(said, topic, item, trust))
        elif topic.startswith(("contact.", "user.")):
            found = list(_contact(said, topic, item, trust))
        else:
            found = []
        if not found:
            return Translated(ignored=[Fault("not_translated", "Nothing for a timeline.")])
        return Translated(found)


def _conversation(said: Any, topic: str, item: Any, trust: bool) -> Iterable[dict[str, Any]]:
    contact = _contact_of(item)
    visitor, id_ = _visitor(said, contact, trust), text(item, "id")
    if visitor is None or id_ is None:
        return
    about = {"conversation_id": id_, "channel": text(item, "source", "type")}

    def event(name: str, key: tuple[str, ...], when: Any, **more: Any) -> dict[str, Any]:
        return chats.chat_event(
            KIND,
            visitor,
            chats.Said(
                name=name,
                message_id=message_id(KIND, _app(said), *key),
                at=instant(when) or instant(at(said, "created_at")),
                properties={**about, **more},
            ),
        )

    began = at(item, "created_at")
    if topic in _STARTS:
        yield event(chats.STARTED, ("conversation", id_, "started"), began)
        source = at(item, "source")
        name = chats.SENT if topic == "conversation.user.created" else chats.RECEIVED
        first = text(source, "id") or id_
        yield event(name, ("source", id_, first), began, **_message(source))
    elif topic in _REPLIES:
        for part in parts(at(item, "conversation_parts"), "conversation_parts"):
            part_id = text(part, "id")
            # A part that closes or assigns may say something, or nothing.
            if part_id is not None and (said_ := _message(part)) and at(part, "body"):
                when = at(part, "created_at")
                yield event(_REPLIES[topic], ("part", id_, part_id), when, **said_)
    elif topic in _TURNS:
        key = ("notification", text(said, "id") or "")
        yield event(_TURNS[topic], key, at(said, "created_at"))


def _message(part: Any) -> dict[str, Any]:
    author = at(part, "author")
    ours = text(author, "type") in ("admin", "bot", "team")
    html = at(part, "body")
    return {
        "message_id": text(part, "id"),
        "text": clip(from_html(html), chats.LONGEST_TEXT) if isinstance(html, str) else None,
        "attachments": len(parts(part, "attachments")) or None,
        "automatic": True if text(author, "type") == "bot" else None,
        "agent_id": text(author, "id") if ours else None,
        "agent_name": text(author, "name") if ours else None,
    }


def _contact(said: Any, topic: str, item: Any, trust: bool) -> Iterable[dict[str, Any]]:
    person = at(item, "contact") or item
    visitor, id_ = _visitor(said, person, trust), text(said, "id")
    if visitor is None or id_ is None or topic.rpartition(".")[2] not in _CONTACTS:
        return
    yield chats.chat_person(
        KIND,
        visitor,
        chats.Said(
            name="",
            message_id=message_id(KIND, _app(said), "notification", id_),
            at=instant(at(said, "created_at")),
            properties=visitor.traits,
        ),
    )


def _contact_of(item: Any) -> Any:
    """The person of a conversation: its source's author knows more than its list of contacts."""
    author = at(item, "source", "author")
    if text(author, "type") in ("user", "lead", "contact"):
        listed = parts(at(item, "contacts"), "contacts")
        same = [one for one in listed if text(one, "id") == text(author, "id")]
        return {**(same[0] if same else {}), **author}
    listed = parts(at(item, "contacts"), "contacts")
    return listed[0] if listed else None


def _visitor(said: Any, contact: Any, trust: bool) -> chats.Visitor | None:
    id_ = text(contact, "id")
    if id_ is None:
        return None
    own = text(contact, "external_id") or text(contact, "user_id")
    return chats.Visitor(
        id=f"{KIND}:{id_}",
        external=chats.external([("intercom_contact_id", id_), ("intercom_external_id", own)]),
        user_id=own if trust else None,
        traits={name: text(contact, name) for name in ("email", "name", "phone")},
    )


def _app(said: Any) -> str:
    return text(said, "app_id") or ""


_STARTS = frozenset({"conversation.user.created", "conversation.admin.single.created"})
_REPLIES = {
    "conversation.user.replied": chats.SENT,
    "conversation.admin.replied": chats.RECEIVED,
}
_TURNS = {
    "conversation.admin.closed": chats.ENDED,
    "conversation.admin.opened": chats.REOPENED,
}
_CONTACTS = frozenset({"created", "updated", "signed_up", "added_email"})
