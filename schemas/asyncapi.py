"""The AsyncAPI 3.0 document: every topic as a channel, with its Kafka bindings.

Made from ``schemas.topics`` and ``schemas.messages`` alone, so it says what the services
are held to, not what somebody remembered. Each topic has the headers of the CloudEvents
1.0 Kafka binding (binary mode) and, where a stage writes it, ``origin`` and ``seq``.
"""

from typing import Any

from schemas.catalogue import topic_of
from schemas.jsonschema import DOCUMENTED, components
from schemas.payloads import MESSAGES, Payload
from schemas.properties.registry import STRUCTS
from schemas.topics import (
    ALL,
    DEAD,
    DEFINITIONS,
    EVENTS,
    INTERACTIONS,
    MESSAGE_CHANGES,
    PROFILE_CHANGES,
    REJECTED,
    Topic,
)

BINDING = "0.5.0"
STAGES = ("profile-resolve", "profile-build", "segmentation", "notifier")
"""Writers whose records carry ``origin`` and ``seq``."""

DEAD_HEADERS = {
    "dl_reason": "Why it did not fit, as a code; also the metric label.",
    "dl_detail": "The same for people, without personal data.",
    "dl_topic": "The topic it was read from.",
    "dl_partition": "The partition it was read from, in decimal.",
    "dl_offset": "Its offset there, in decimal.",
    "dl_stage": "The stage that rejected it.",
    "dl_at": "When, RFC 3339 in UTC.",
}
REFUSED_HEADERS = {
    "dl_id": "Unique to this refusal.",
    "dl_reason": "Why it was refused, as a code.",
    "dl_detail": "The same for people, without personal data.",
    "dl_source": "The source that sent it.",
    "dl_door": "Where it came in, such as `http` or `hook`.",
    "dl_stage": "`ingest`.",
    "dl_at": "When it was received, RFC 3339 in UTC.",
}
REFUSED_OPTIONS = {
    "dl_call": "A Segment call; `sale` of a till; `batch`, `hook`, `upload`: a whole body.",
    "dl_shared": "What its batch said for all events, as JSON: context, integrations, sentAt.",
    "dl_size": "How many bytes it had, where the value was cut short.",
}

CLOUDEVENTS_HEADERS = {
    "ce_specversion": "The version of CloudEvents.",
    "ce_id": "Unique to this message; of an event, its messageId.",
    "ce_source": "Who wrote it.",
    "ce_type": "What kind of message this is.",
    "ce_time": "When it happened, RFC 3339 in UTC.",
    "ce_subject": "Whom or what it is about: the record's key.",
    "content-type": "The format of the value.",
}


def document() -> dict[str, Any]:
    """The whole document, ready for YAML."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Regulars",
            "version": "1.0.0",
            "description": (
                "The Kafka topics of Regulars, an event-driven CRM for online shops. Other "
                "teams may read every topic, and a storefront may write `events.*` itself. "
                "Readers must ignore fields that they do not know."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:19092",
                "protocol": "kafka",
                "description": "The broker of a local start; yours is another.",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in ALL},
        "operations": dict(
            _operation(topic, who, action)
            for topic in ALL
            for who, action in (
                *((writer, "send") for writer in topic.writers),
                *((reader, "receive") for reader in topic.readers),
            )
        ),
        "components": {
            "messages": {
                **{
                    _message_name(topic, payload): _message(topic, payload)
                    for topic in ALL
                    for payload in MESSAGES.get(topic.name, ())
                },
                **_refusals(),
                **_dead_letters(),
            },
            "schemas": components(DOCUMENTED, "#/components/schemas/{name}"),
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    names = [_message_name(topic, payload) for payload in MESSAGES.get(topic.name, ())]
    names = names or list(_refusals() if topic is REJECTED else _dead_letters())
    return {
        "address": topic.name,
        "summary": topic.summary,
        "description": f"Record key: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        **({"x-event-properties": _properties(topic)} if topic in EVENTS else {}),
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": _configuration(topic),
                "bindingVersion": BINDING,
            }
        },
    }


def _properties(topic: Topic) -> dict[str, Any]:
    """The schema of ``properties`` of each known event on the topic."""
    return {
        name: {"$ref": f"#/components/schemas/{struct.__name__}"}
        for name, struct in sorted(STRUCTS.items())
        if topic_of("track", name) == topic.name
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    """The topic's configuration in the binding's types: lists and integers, not text."""
    return {
        name: value.split(",") if name == "cleanup.policy" else int(value)
        for name, value in topic.config().items()
    }


def _operation(topic: Topic, who: str, action: str) -> tuple[str, dict[str, Any]]:
    name = f"{who}.{action}.{topic.name}".replace(" ", "-")
    return name, {
        "action": action,
        "channel": {"$ref": f"#/channels/{_pointer(topic.name)}"},
        "summary": f"{who} {'writes' if action == 'send' else 'reads'} {topic.name}.",
    }


def _pointer(name: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _message_name(topic: Topic, payload: Payload) -> str:
    return (
        payload.body
        or {
            PROFILE_CHANGES.name: "ProfileErased",
            DEFINITIONS.name: "DefinitionDeleted",
        }[topic.name]
    )


def _message(topic: Topic, payload: Payload) -> dict[str, Any]:
    body = (
        {"$ref": f"#/components/schemas/{payload.body}"}
        if payload.body
        else {"type": "null", "description": "No value: a tombstone."}
    )
    return {
        "name": _message_name(topic, payload),
        "summary": payload.summary,
        "contentType": "application/json",
        "headers": _headers(topic, payload),
        "payload": body,
        "bindings": {"kafka": {"key": _key(topic), "bindingVersion": BINDING}},
    }


def _key(topic: Topic) -> dict[str, Any]:
    return _text(topic.key)


def _headers(topic: Topic, payload: Payload) -> dict[str, Any]:
    properties: dict[str, Any] = {name: _text(text) for name, text in CLOUDEVENTS_HEADERS.items()}
    properties["ce_specversion"]["const"] = "1.0"
    properties["ce_type"]["enum"] = list(payload.types)
    properties["content-type"]["const"] = "application/json"
    required = list(CLOUDEVENTS_HEADERS)
    if topic in (*EVENTS, INTERACTIONS, MESSAGE_CHANGES):
        properties["event"] = _text("The event's name, so that a reader can skip it undecoded.")
    if set(topic.writers) & set(STAGES) and topic is not DEFINITIONS:
        # An API writes no sequence: an unsubscribe is on message.changes without these.
        required += ["origin", "seq"] if topic is not MESSAGE_CHANGES else []
        properties["origin"] = _text(
            "The checkpoint that produced it: `<group>/<topic>/<partition>`."
        )
        properties["seq"] = _text(
            "That checkpoint's counter: drop what is not above the highest seen.",
            pattern="^[0-9]+$",
        )
    if payload.body == "Interaction":
        late = "of the record that was forwarded, because its person had been merged meanwhile."
        properties["first_origin"] = _text(f"The `origin` {late}")
        properties["first_seq"] = _text(f"The `seq` {late}", pattern="^[0-9]+$")
        properties["first_profile"] = _text(f"The key {late}")
    return {"type": "object", "properties": properties, "required": required}


def _text(description: str, **more: str) -> dict[str, Any]:
    """The schema of a header: UTF-8 text."""
    return {"type": "string", **more, "description": description}


def _refusals() -> dict[str, Any]:
    """The messages of ``events.rejected``."""
    bindings = {"kafka": {"key": _text(REJECTED.key), "bindingVersion": BINDING}}
    headers = REFUSED_HEADERS | REFUSED_OPTIONS
    return {
        "RefusedEvent": {
            "name": "RefusedEvent",
            "summary": "An event that ingest refused, as it was sent.",
            "contentType": "application/octet-stream",
            "headers": {
                "type": "object",
                "properties": {name: _text(note) for name, note in headers.items()},
                "required": list(REFUSED_HEADERS),
            },
            "payload": {"description": "Any bytes; they may be no JSON at all."},
            "bindings": bindings,
        },
        "RefusalsSuppressed": {
            "name": "RefusalsSuppressed",
            "summary": "How many refused events of a source were only counted, by reason.",
            "contentType": "application/json",
            "headers": {
                "type": "object",
                "properties": {
                    "dl_suppressed": _text("How many.", pattern="^[0-9]+$"),
                    "dl_source": _text(REFUSED_HEADERS["dl_source"]),
                    "dl_at": _text("When the counting ended, RFC 3339 in UTC."),
                },
                "required": ["dl_suppressed", "dl_source", "dl_at"],
            },
            "payload": {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "description": "The number of events by reason code.",
            },
            "bindings": bindings,
        },
    }


def _dead_letters() -> dict[str, Any]:
    """The messages of every dead-letter topic."""
    bindings = {"kafka": {"key": _text(DEAD[0].key), "bindingVersion": BINDING}}
    return {
        "DeadLetter": {
            "name": "DeadLetter",
            "summary": f"A rejected record as it came, on any of {len(DEAD)} topics.",
            "description": (
                "Value, key and headers are the rejected record's own, without `origin` and `seq`."
            ),
            "contentType": "application/octet-stream",
            "headers": {
                "type": "object",
                "properties": {name: _text(note) for name, note in DEAD_HEADERS.items()},
                "required": list(DEAD_HEADERS),
            },
            "payload": {"description": "Any bytes; they may be no JSON at all."},
            "bindings": bindings,
        },
        "DeadLetterReplayed": {
            "name": "DeadLetterReplayed",
            "summary": "A marker: that dead letter was sent to its topic again.",
            "headers": {
                "type": "object",
                "properties": {
                    "dl_replayed": _text(
                        "Which: dl_topic, dl_partition, dl_offset and dl_stage, with `/` between."
                    )
                },
                "required": ["dl_replayed"],
            },
            "payload": {"type": "null", "description": "No value."},
            "bindings": bindings,
        },
    }
