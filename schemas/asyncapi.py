"""The AsyncAPI 3.0 document: every topic as a channel, with its Kafka bindings.

Made from ``schemas.topics`` and ``schemas.messages`` alone, so it says what the services
are held to, not what somebody remembered. Each topic has the headers of the CloudEvents
1.0 Kafka binding (binary mode) and, where a stage writes it, ``origin`` and ``seq``.
"""

from typing import Any

from schemas.jsonschema import MESSAGES as STRUCTS
from schemas.jsonschema import components
from schemas.topics import (
    ALL,
    DEAD,
    DEFINITIONS,
    EVENTS,
    INTERACTIONS,
    MESSAGES,
    PROFILE_CHANGES,
    Payload,
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
                "DeadLetter": _dead_letter(),
            },
            "schemas": components(STRUCTS, "#/components/schemas/{name}"),
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    names = [_message_name(topic, payload) for payload in MESSAGES.get(topic.name, ())]
    return {
        "address": topic.name,
        "summary": topic.summary,
        "description": f"Record key: {topic.key}.",
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"}
            for name in names or ["DeadLetter"]
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": _configuration(topic),
                "bindingVersion": BINDING,
            }
        },
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
    return {"type": "string", "description": topic.key}


def _headers(topic: Topic, payload: Payload) -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: {"type": "string", "description": text}
        for name, text in CLOUDEVENTS_HEADERS.items()
    }
    properties["ce_specversion"]["const"] = "1.0"
    properties["ce_type"]["enum"] = list(payload.types)
    properties["content-type"]["const"] = "application/json"
    required = list(CLOUDEVENTS_HEADERS)
    if topic in (*EVENTS, INTERACTIONS):
        properties["event"] = {
            "type": "string",
            "description": "The event's name, so that a reader can skip it undecoded.",
        }
    if set(topic.writers) & set(STAGES) and topic is not DEFINITIONS:
        properties["origin"] = {
            "type": "string",
            "description": "The checkpoint that produced it: `<group>/<topic>/<partition>`.",
        }
        properties["seq"] = {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "That checkpoint's counter: drop what is not above the highest seen.",
        }
        required += ["origin", "seq"]
    return {"type": "object", "properties": properties, "required": required}


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "DeadLetter",
        "summary": f"A rejected record as it came, on any of {len(DEAD)} topics.",
        "description": "The value, the key and all headers are the rejected record's own.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": text}
                for name, text in DEAD_HEADERS.items()
            },
            "required": list(DEAD_HEADERS),
        },
        "payload": {"description": "Any bytes; they may be no JSON at all."},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": DEAD[0].key},
                "bindingVersion": BINDING,
            }
        },
    }
