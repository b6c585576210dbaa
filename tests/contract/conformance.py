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
    return not isinstance(value, str) or re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


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


def references(part: Any) -> Iterator[str]:
    """Every ``$ref`` in a document."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def problems(topic: str, value: bytes | None, headers: Mapping[str, bytes]) -> list[str]:
    """What the contract says against this record; nothing when it fits.

    ``topic`` is a name of ``schemas.topics``, without any namespace.
    """
    texts = {name: content.decode() for name, content in headers.items()}
    message = _message(topic, texts, empty=value is None)
    if message is None:
        said = texts.get("ce_type")
        return [f"{topic}: no message {'without' if value is None else 'with'} value is {said!r}"]
    found = [
        f"{topic} header {error.json_path}: {error.message}"
        for error in Draft202012Validator(message["headers"]).iter_errors(texts)
    ]
    return found + list(_body_problems(topic, message, value))


def _message(topic: str, headers: Mapping[str, str], *, empty: bool) -> dict[str, Any] | None:
    """The AsyncAPI message of a channel that such a record is, by type and absence of a value."""
    for name in asyncapi()["channels"][topic]["messages"]:
        message: dict[str, Any] = asyncapi()["components"]["messages"][name]
        if topic.endswith(".dead"):
            if (name == "DeadLetterReplayed") == ("dl_replayed" in headers):
                return message
            continue
        types = message["headers"]["properties"]["ce_type"]["enum"]
        tombstone = message["payload"].get("type") == "null"
        if headers.get("ce_type") in types and tombstone == empty:
            return message
    return None


def _body_problems(topic: str, message: dict[str, Any], value: bytes | None) -> Iterator[str]:
    if value is None or topic.endswith(".dead"):
        return
    for error in validator(message["name"]).iter_errors(json.loads(value)):
        yield f"{topic} {message['name']} {error.json_path}: {error.message}"
