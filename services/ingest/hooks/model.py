"""What a webhook is to ingest: a delivery, its verdict, and what it was turned into. Pure.

``routes.py`` takes a provider's call, the source's kind gives the ``Hook``, which verifies
and translates, and the events go the way of all events (``services.ingest.handler``).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct, field

from schemas.messages import PrivacyRequest
from schemas.validation import Fault

MAX_HOOK = 1024 * 1024
"""Bytes of a delivery. An order with hundreds of lines has some hundred thousand."""
MAX_MAIL = 25 * 1024 * 1024
"""Bytes of a mail with its attachments: what the large providers let through."""


def most(kind: str) -> int:
    """How many bytes a delivery to a source of this kind may have."""
    return MAX_MAIL if kind == "mail" else MAX_HOOK


Options = Mapping[str, Any]
"""A source's options, which ``Hook.check`` has found good."""
Secrets = Callable[[str], Sequence[str]]
"""A secret's name -> its values that are good now, the newest first; empty: none is set."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One call of a provider, as it arrived."""

    source: str
    """The name of the source that it was addressed to."""
    method: str
    url: str
    headers: Mapping[str, str]
    """By lower-case name; of several with one name the last."""
    query: Mapping[str, str]
    body: bytes
    """Raw: what was signed is these bytes, not what they mean."""
    received_at: datetime


class Reply(Struct, frozen=True):
    """What a provider wants to hear instead of our answer: a handshake, a ping."""

    body: bytes = b""
    media_type: str = "text/plain"


class Translated(Struct):
    """What a delivery says, in Segment's words."""

    events: list[dict[str, Any]] = field(default_factory=list)
    """Calls with ``type`` and ``messageId``. Whether they fit is judged as of all events."""
    ignored: list[Fault] = field(default_factory=list)
    """What was left out on purpose, and why."""
    requests: list[PrivacyRequest] = field(default_factory=list)


Verdict = Fault | Reply | None
"""401 with the fault's code; an answer of its own, and nothing to translate; or: go on."""


class Hook(Protocol):
    """One provider's webhooks. Pure, but that ``verify`` may have to fetch a certificate."""

    @property
    def kind(self) -> str:
        """The ``Source.kind`` that this is for."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that a source of this kind needs, by name."""

    @property
    def methods(self) -> frozenset[str]:
        """HTTP methods that the provider uses: POST, and GET where it shakes hands."""

    def check(self, options: Any) -> list[Fault]:
        """Every fault of a source's options; ``detail`` begins with the place, ``a.b: ``."""

    def verify(
        self, delivery: Delivery, secrets: Secrets, options: Options
    ) -> Verdict | Awaitable[Verdict]:
        """Is it the provider's? In constant time, and closed when no secret is set."""

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """What it says; a fault (400) when that cannot even be read.

        The same delivery gives the same ``messageId``s, whenever and however often it comes.
        """
