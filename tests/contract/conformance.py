"""Holds a record as it lies on Kafka against the published contract.

The end-to-end tests read every topic after a run and assert that ``problems`` is empty for
each record: so the documents are tested against what the services really write.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker

SCHEMAS = Path(__file__).parents[2] / "schemas"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

formats = FormatChecker(formats=())


@formats.checks("date-time")
def is_time(value: object) -> bool:
    return not isinstance(value, str) or RFC3339.fullmatch(value) is not None


@formats.checks("decimal")
def is_decimal(value: object) -> bool:
    return (
        not isinstance(value, str) or re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
    )


@cache
def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document as it is published."""
    document: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    return document


@cache
def validator(message: str) -> Draft202012Validator:
    """A validator by the published JSON Schema of one message."""
    schema = json.loads((SCHEMAS / "json" / f"{message}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=formats)


def problems(
    topic: str, value: bytes | None, headers: Mapping[str, bytes]
) -> list[str]:
    """What the contract says against this record; nothing when it fits.

    ``topic`` is a name of ``schemas.topics``, without any namespace.
    """
    texts = {name: content.decode() for name, content in headers.items()}
    message = _message(topic, texts.get("ce_type", ""))
    if message is None:
        return [f"{topic}: no message with ce_type {texts.get('ce_type')!r}"]
    found = [
        f"{topic} header {error.json_path}: {error.message}"
        for error in Draft202012Validator(message["headers"]).iter_errors(texts)
    ]
    return found + list(_body_problems(topic, message, value))


def _message(topic: str, ce_type: str) -> dict[str, Any] | None:
    """The AsyncAPI message of a channel that has this CloudEvents type."""
    for name in asyncapi()["channels"][topic]["messages"]:
        message: dict[str, Any] = asyncapi()["components"]["messages"][name]
        types = (
            message["headers"]["properties"].get("ce_type", {}).get("enum", [ce_type])
        )
        if ce_type in types:
            return message
    return None


def _body_problems(
    topic: str, message: dict[str, Any], value: bytes | None
) -> Iterator[str]:
    if message["name"] == "DeadLetter":
        return
    if "$ref" not in message["payload"]:
        if value is not None:
            yield f"{topic}: {message['name']} must have no value"
        return
    if value is None:
        yield f"{topic}: {message['name']} must have a value"
        return
    for error in validator(message["name"]).iter_errors(json.loads(value)):
        yield f"{topic} {message['name']} {error.json_path}: {error.message}"
