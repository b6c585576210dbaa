"""How a source of kind ``webhook`` says who signs, and what becomes what; checked. Pure."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from schemas.validation import Fault
from services.ingest.expression import compiled
from services.ingest.hooks.reading import settled
from services.ingest.hooks.signature import Algorithm, Encoding

Name = Annotated[str, Meta(min_length=1, max_length=100)]

MOST_RULES = 20
MOST_EXPRESSIONS = 200
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SINGLE = (
    "when", "event", "message_id", "timestamp", "user_id", "anonymous_id", "email",
    "group_id", "previous_id", "name", "category",
)  # fmt: skip


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """How a delivery proves whose it is, by the source's ``secret``."""

    scheme: Literal["hmac", "standard", "token"] = "hmac"
    """``standard``: Standard Webhooks, and all below but the tolerance is settled. ``token``:
    the header is the secret itself."""
    header: Name = "x-signature"
    prefix: str = ""
    """What stands before the signature, such as ``sha256=``."""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    signed: str = "{body}"
    """What is signed, with ``{body}``, ``{timestamp}`` and ``{id}`` in it."""
    timestamp_header: Name | None = None
    id_header: Name | None = None
    fields: dict[Literal["timestamp", "signature"], Name] = {}
    """Where the header is a list, ``t=...,v1=...``: the names of its fields."""
    tolerance_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 300
    """How old, or early, a signed timestamp may be."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One event to make of an item. Everything but ``type`` is a JMESPath expression."""

    message_id: str
    """What names the event for good, unique within this rule's events."""
    type: Literal["identify", "track", "page", "screen", "group", "alias"] = "track"
    when: str | None = None
    """Made only where this is neither false nor null nor empty."""
    event: str | None = None
    """The name of a track call; a fixed one in quotes: ``'Order Completed'``."""
    timestamp: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    email: str | None = None
    group_id: str | None = None
    previous_id: str | None = None
    name: str | None = None
    category: str | None = None
    external_ids: dict[Name, str] = {}
    """By type, such as ``order``: what else names whose it is (``context.externalIds``)."""
    properties: dict[str, str] = {}
    traits: dict[str, str] = {}

    def expressions(self) -> Iterator[tuple[str, str]]:
        """(place, expression) of each."""
        for name in _SINGLE:
            text = getattr(self, name)
            if text is not None:
                yield _camel(name), text
        for group in ("external_ids", "properties", "traits"):
            for name, text in getattr(self, group).items():
                yield f"{_camel(group)}.{name}", text


class WebhookOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``Source.options`` of a source of kind ``webhook``."""

    events: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=MOST_RULES)]
    signature: Signature = field(default_factory=Signature)
    list: str | None = None
    """Where the items are; without it the whole body is the one item."""


def faults(options: Any) -> list[Fault]:
    """Everything that is wrong, each with its place. Codes: bad_options, bad_expression."""
    read = settled(options, WebhookOptions)
    if isinstance(read, Fault):
        return [read]
    found = [*_signature_faults(read.signature)]
    places = [] if read.list is None else [("options.list", read.list)]
    for number, rule in enumerate(read.events):
        where = f"options.events[{number}]"
        places += [(f"{where}.{place}", text) for place, text in rule.expressions()]
        if rule.type == "track" and rule.event is None:
            found.append(Fault("bad_options", f"{where}.event: a track call needs its name."))
    if len(places) > MOST_EXPRESSIONS:
        most = f"options: at most {MOST_EXPRESSIONS} expressions."
        found.append(Fault("bad_options", most))
    for place, text in places[:MOST_EXPRESSIONS]:
        expression = compiled(text)
        if isinstance(expression, Fault):
            found.append(Fault(expression.code, f"{place}: {expression.detail}"))
    return found


def _signature_faults(said: Signature) -> Iterator[Fault]:
    if said.scheme != "hmac":
        return
    names = _PLACEHOLDER.findall(said.signed)
    if set(names) - {"body", "timestamp", "id"} or names.count("body") != 1:
        detail = "options.signature.signed: one {body}, and {timestamp} or {id} beside it."
        yield Fault("bad_options", detail)
    if "timestamp" in names and not (said.timestamp_header or "timestamp" in said.fields):
        yield Fault("bad_options", "options.signature.timestamp_header: where is the timestamp?")
    if "id" in names and not said.id_header:
        yield Fault("bad_options", "options.signature.id_header: where is the id?")
    if said.fields and "signature" not in said.fields:
        yield Fault("bad_options", "options.signature.fields: name the signature's field too.")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
