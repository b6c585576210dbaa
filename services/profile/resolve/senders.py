"""The sources of events as the shop has declared them: whom to believe, and their country."""

from collections.abc import Collection, Mapping
from typing import Protocol

from schemas.messages import Definition, Identifier
from services.profile.resolve.rules.identifiers import Sender
from services.profile.resolve.rules.spelling import node_of, spelled

BELIEVED_KINDS = frozenset(
    [
        *("server", "store", "history", "shopify", "woocommerce", "webhook"),
        *("sendgrid", "ses", "mailgun", "postmark"),
    ]
)
"""Kinds of sources that say who somebody is: a shop's own systems, and its providers.

In all others (``browser``, ``mobile``, ``chatwoot``, ``intercom``, ``meta``, ``mail``) anybody
may say who they are: the key is in the page or the app, or a visitor types an address into a
chat, or writes one as a mail's From. A kind that is not known here is one of those."""


class Definitions(Protocol):
    """The complete view of ``control.definitions``."""

    current: dict[tuple[str, str], Definition]
    revision: int


class Declared:
    """Senders by the declared sources, those that were deleted included: what they sent may come
    again. Others are trusted, unless the settings name them."""

    def __init__(
        self,
        definitions: Definitions,
        untrusted: Collection[str] = (),
        region: str = "",
        blocked: Collection[str] = (),
    ) -> None:
        """``blocked``: as ``email:till@shop.example``; ValueError for what is no identifier."""
        self._definitions = definitions
        self._untrusted = frozenset(untrusted)
        self._region = region or None
        self._blocked = frozenset(map(_node, blocked))
        self._revision: int | None = None
        self._senders: dict[str, Sender] = {}

    def of(self, source: str) -> Sender:
        """The sender of that name."""
        if self._revision != self._definitions.revision:
            self._revision = self._definitions.revision
            self._senders = {}
        sender = self._senders.get(source)
        if sender is None:
            definition = self._definitions.current.get(("source", source))
            sender = self._sender(source, definition.body if definition else {})
            if len(self._senders) < 10_000:  # A storefront may name what it likes.
                self._senders[source] = sender
        return sender

    def _sender(self, source: str, body: Mapping[str, object]) -> Sender:
        region = body.get("default_region")
        open_ = body.get("kind", "server") not in BELIEVED_KINDS
        if not body or body.get("deleted"):
            open_ = open_ or source in self._untrusted
        return Sender(open_, region if isinstance(region, str) else self._region, self._blocked)


def _node(text: str) -> Identifier:
    type, _, value = text.partition(":")
    known = spelled(type, value)
    if known is None:
        raise ValueError(f"Of REGULARS_PROFILE_BLOCKED_IDENTIFIERS {text!r} is no identifier.")
    return node_of(Identifier(type, known))
