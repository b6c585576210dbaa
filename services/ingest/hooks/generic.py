"""Any provider that signs its JSON: a source of kind ``webhook`` says how to read it. Pure.

Expressions see ``{item, body, headers, query}``; ``item`` is one entry of the list, or the
whole body. See docs/webhooks.md.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from schemas.validation import Fault
from services.ingest.expression import compiled, find
from services.ingest.hooks import body, generic_model, signed
from services.ingest.hooks.body import present, text
from services.ingest.hooks.event import context, message_id, time_of
from services.ingest.hooks.generic_model import Rule, WebhookOptions
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated, Verdict
from services.ingest.hooks.reading import settled
from services.ingest.model import MAX_EVENTS

MOST_WORK = 25_000
"""Expressions times items of one delivery, each some microseconds."""
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class Webhook:
    """``services.ingest.hooks.model.Hook`` for everything else."""

    kind = "webhook"
    secrets = ("secret",)
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """Every fault of a source's options."""
        return generic_model.faults(options)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Verdict:
        """Codes: bad_options, missing_secret, bad_signature, stale_signature."""
        given = settled(options, WebhookOptions)
        if isinstance(given, Fault):
            return given
        return signed.verify(delivery, secrets("secret"), given.signature)

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """What it says. Codes: bad_options, no_list, batch_too_long, those of ``body.read``."""
        given, said = settled(options, WebhookOptions), body.read(delivery.body)
        if isinstance(given, Fault):
            return given
        if isinstance(said, Fault):
            return said
        scope = {"body": said, "headers": dict(delivery.headers), "query": dict(delivery.query)}
        items = _items(given, {**scope, "item": said})
        if isinstance(items, Fault):
            return items
        work = len(items) * sum(len(list(rule.expressions())) for rule in given.events)
        if len(items) > MAX_EVENTS or work > MOST_WORK:
            return Fault("batch_too_long", "More items than are read at once; none was taken.")
        translated = Translated()
        for item in items:
            for number, rule in enumerate(given.events):
                reading = _Reading({**scope, "item": item}, f"events[{number}]", translated)
                if reading.holds(rule.when):
                    translated.events.append(_event(rule, reading, delivery))
        if not translated.events:
            translated.ignored.append(Fault("no_rule", "No rule of the source wants this."))
        return translated


def _items(given: WebhookOptions, scope: Mapping[str, Any]) -> list[Any] | Fault:
    if given.list is None:
        return [scope["item"]]
    expression = compiled(given.list)
    found = expression if isinstance(expression, Fault) else find(expression, scope, MOST_WORK * 20)
    if isinstance(found, Fault):
        return found
    if not isinstance(found, list):
        return Fault("no_list", f"There is no list at {given.list}.")
    return found


class _Reading:
    """One item as a rule's expressions see it; what fails is noted, and read as nothing."""

    def __init__(self, scope: Mapping[str, Any], place: str, into: Translated) -> None:
        self.scope = scope
        self._place = place
        self._into = into

    def __call__(self, name: str, expression: str | None) -> Any:
        if expression is None:
            return None
        parsed = compiled(expression)
        found = parsed if isinstance(parsed, Fault) else find(parsed, self.scope)
        if isinstance(found, Fault):
            self._into.ignored.append(Fault(found.code, f"{self._place}.{name}: {found.detail}"))
            return None
        return found

    def holds(self, expression: str | None) -> bool:
        """By JMESPath's truth: false, null and what is empty are not; zero is."""
        found = True if expression is None else self("when", expression)
        return found not in (None, False, "", [], {}) or (found == 0 and found is not False)

    def all(self, group: str, expressions: Mapping[str, str]) -> dict[str, Any]:
        """A value for each name; those that say nothing are left out."""
        found = {name: self(f"{group}.{name}", text) for name, text in expressions.items()}
        return {name: value for name, value in found.items() if value is not None}


def _event(rule: Rule, read: _Reading, delivery: Delivery) -> dict[str, Any]:
    name = read("event", rule.event)
    known = text(read("messageId", rule.message_id)) or _digest(read.scope["item"])
    email = text(read("email", rule.email))
    ids = read.all("externalIds", rule.external_ids)
    external = [(type, text(value)) for type, value in ids.items()]
    fields = {
        "event": name,
        "timestamp": _time(read("timestamp", rule.timestamp)),
        "userId": text(read("userId", rule.user_id)),
        "anonymousId": text(read("anonymousId", rule.anonymous_id)),
        "groupId": text(read("groupId", rule.group_id)),
        "previousId": text(read("previousId", rule.previous_id)),
        "name": read("name", rule.name),
        "category": read("category", rule.category),
        "properties": read.all("properties", rule.properties),
        "traits": read.all("traits", rule.traits),
    }
    return {
        "type": rule.type,
        # One item may become several events: the name keeps them apart.
        "messageId": message_id("webhook", delivery.source, name or rule.type, known),
        **present(fields),
        "context": context("webhook", present({"email": email}), external),
    }


def _digest(item: Any) -> str:
    return sha256(_encoder.encode(item)).hexdigest()[:32]


def _time(value: Any) -> Any:
    """Unix time as ISO 8601; all else as it is, to be judged."""
    if value is None or isinstance(value, str):
        return value
    return time_of(body.instant(value)) or str(value)
