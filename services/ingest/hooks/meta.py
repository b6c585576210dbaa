"""Meta's webhooks: messages of Messenger and Instagram, and comments on posts.

Source: "Webhooks", "Messenger Platform: webhook events" and "Instagram Platform: webhooks"
in Meta's developer documentation. Secrets ``app_secret`` (``X-Hub-Signature-256:
sha256=<hex>`` is an HMAC of the body under it) and ``verify_token`` (a word of yours that Meta
shows when it asks, by GET, whether the address is yours; its challenge is sent back).

A person is known by her page-scoped (Messenger) or Instagram-scoped id. What a page says
("echo") is the agent's. What was read, delivered, liked or taken back is ignored.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks import chats, signature
from services.ingest.hooks.body import instant, part, parts, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Reply, Secrets, Translated
from services.ingest.hooks.presented import BAD_SECRET, shown
from services.ingest.hooks.reading import at, faults, text

KIND = "meta"
_CHANNELS = {"page": "messenger", "instagram": "instagram"}
_EXTERNAL = {"messenger": "messenger_psid", "instagram": "instagram_igsid"}
_LONGEST_CHALLENGE = 500
_IGNORED = Fault("not_translated", "Nothing for a timeline.")


class MetaOptions(Struct, forbid_unknown_fields=True):
    """A source of this kind has no options."""


class Meta:
    """See ``services.ingest.hooks.model.Hook``."""

    kind = KIND
    secrets = ("app_secret", "verify_token")
    methods = frozenset({"GET", "POST"})

    def check(self, options: Any) -> list[Fault]:
        """None."""
        return faults(options, MetaOptions)

    def verify(
        self, delivery: Delivery, secrets: Secrets, options: Options
    ) -> Fault | Reply | None:
        """Answers the handshake; else the signature. Codes: bad_secret, bad_signature."""
        if delivery.method == "GET":
            challenge = delivery.query.get("hub.challenge", "")
            if delivery.query.get("hub.mode") != "subscribe" or not (
                shown(secrets("verify_token"), delivery.query.get("hub.verify_token"))
            ):
                return BAD_SECRET
            return Reply(challenge[:_LONGEST_CHALLENGE].encode("utf-8", "replace"))
        given = delivery.headers.get("x-hub-signature-256", "").removeprefix("sha256=")
        keys = [key.encode() for key in secrets("app_secret")]
        return signature.check(keys, delivery.body, [given], encoding="hex")

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """Every message and comment of every entry; each is translated or ignored alone."""
        said = read(delivery.body)
        if isinstance(said, Fault):
            return said
        channel = _CHANNELS.get(text(said, "object") or "")
        translated = Translated()
        for entry in parts(said, "entry") if channel else ():
            for event in _entry(channel or "", entry):
                if event is None:
                    translated.ignored.append(_IGNORED)
                else:
                    translated.events.append(event)
        if not translated.events and not translated.ignored:
            translated.ignored.append(_IGNORED)
        return translated


def _entry(channel: str, entry: Any) -> Iterable[dict[str, Any] | None]:
    account = text(entry, "id") or ""
    for message in (*parts(entry, "messaging"), *parts(entry, "standby")):
        yield _message(channel, account, message)
    # Some logins of Instagram put the one change straight into the entry.
    changes = [entry] if text(entry, "field") else parts(entry, "changes")
    for change in changes:
        field, value = text(change, "field"), part(change, "value")
        if field == "messages":
            yield _message(channel, account, value)
        elif field == "feed" and channel == "messenger":
            yield _page_comment(account, value)
        elif field in ("comments", "live_comments") and channel == "instagram":
            yield _media_comment(account, entry, value)
        else:
            yield None


def _message(channel: str, account: str, said: Any) -> dict[str, Any] | None:
    message, postback = part(said, "message"), part(said, "postback")
    id_ = text(message, "mid") or text(postback, "mid")
    echo = message.get("is_echo") is True
    person = text(said, "recipient" if echo else "sender", "id")
    if id_ is None or person is None or message.get("is_deleted") is True:
        return None
    return chats.chat_event(
        KIND,
        _visitor(channel, person, {}),
        chats.Said(
            name=chats.RECEIVED if echo else chats.SENT,
            message_id=message_id(KIND, channel, id_),
            at=_instant(at(said, "timestamp")),
            properties={
                "conversation_id": f"{channel}:{account}:{person}",
                "message_id": id_,
                "channel": channel,
                "text": text(message, "text", most=chats.LONGEST_TEXT) or text(postback, "title"),
                "payload": text(message, "quick_reply", "payload") or text(postback, "payload"),
                "attachments": len(parts(message, "attachments")) or None,
                "reply_to": text(message, "reply_to", "mid"),
            },
        ),
    )


def _page_comment(account: str, value: Any) -> dict[str, Any] | None:
    if text(value, "item") != "comment" or text(value, "verb") != "add":
        return None
    return _comment(
        "messenger",
        account,
        value,
        {
            "comment_id": text(value, "comment_id"),
            "parent_id": text(value, "parent_id"),
            "post_id": text(value, "post_id"),
            "text": text(value, "message", most=chats.LONGEST_TEXT),
            "at": at(value, "created_time"),
        },
    )


def _media_comment(account: str, entry: Any, value: Any) -> dict[str, Any] | None:
    return _comment(
        "instagram",
        account,
        value,
        {
            "comment_id": text(value, "id"),
            "parent_id": text(value, "parent_id"),
            "post_id": text(value, "media", "id"),
            "text": text(value, "text", most=chats.LONGEST_TEXT),
            "at": at(entry, "time"),
        },
    )


def _comment(channel: str, account: str, value: Any, said: dict[str, Any]) -> dict[str, Any] | None:
    person, when = text(value, "from", "id"), said.pop("at")
    if person is None or person == account or said["comment_id"] is None:
        return None
    name = text(value, "from", "username") or text(value, "from", "name")
    return chats.chat_event(
        KIND,
        _visitor(channel, person, {}),
        chats.Said(
            name=chats.COMMENTED,
            message_id=message_id(KIND, channel, "comment", said["comment_id"]),
            at=_instant(when),
            properties={"channel": channel, "author": name, **said},
        ),
    )


def _visitor(channel: str, person: str, traits: dict[str, Any]) -> chats.Visitor:
    return chats.Visitor(
        id=f"{channel}:{person}", external=[(_EXTERNAL[channel], person)], traits=traits
    )


_MILLISECONDS = 100_000_000_000


def _instant(value: Any) -> Any:
    """Unix seconds or milliseconds: Meta gives either, one field differing from the next."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= _MILLISECONDS:
        value //= 1_000
    return instant(value)
