"""What the OpenAPI document says of the hot routes, which FastAPI does not see."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.ingest.calls import (
    Alias,
    Batch,
    Group,
    Identify,
    Page,
    Screen,
    Taken,
    Track,
)
from services.ingest.model import MAX_BODY, MAX_EVENT, MAX_EVENTS
from services.ingest.packing import ENCODINGS
from services.ingest.routes import CALLS
from services.ingest.till.routes import Upload
from services.runtime.problem import MEDIA_TYPE

_REF = "#/components/schemas/"


_CONTEXT = {"library": {"name": "curl", "version": "8"}, "locale": "en-GB"}
_TIME = "2026-03-14T09:26:53.589Z"
_ORDER = {
    "messageId": "order-501",
    "userId": "u-1001",
    "event": "Order Completed",
    "timestamp": _TIME,
    "properties": {
        "order_id": "501",
        "revenue": "114.90",
        "total": "121.38",
        "currency": "EUR",
        "products": [{"product_id": "sku-1", "name": "Trail Shoe", "price": 89.9, "quantity": 1}],
    },
}
_PERSON = {
    "messageId": "person-1",
    "userId": "u-1001",
    "anonymousId": "a-77",
    "traits": {"email": "ada@shop.example", "firstName": "Ada"},
}
_CALLS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "identify": (Identify, _PERSON),
    "track": (Track, _ORDER),
    "page": (Page, {"messageId": "page-1", "anonymousId": "a-77", "name": "Home"}),
    "screen": (Screen, {"messageId": "screen-1", "anonymousId": "a-78", "name": "Basket"}),
    "group": (Group, {"messageId": "group-1", "userId": "u-1001", "groupId": "g-3"}),
    "alias": (Alias, {"messageId": "alias-1", "userId": "u-1001", "previousId": "a-77"}),
    "batch": (
        Batch,
        {
            "context": _CONTEXT,
            "sentAt": _TIME,
            "batch": [{"type": "identify"} | _PERSON, {"type": "track"} | _ORDER],
        },
    ),
}
_HISTORY = {
    "name": "history",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "The events are history: timestamps stand without clock correction, and "
    "nobody is written to because of them.",
}
_SCHEMES = {
    "WriteKeyBasic": {
        "type": "http",
        "scheme": "basic",
        "description": "The write key as user name, with an empty password.",
    },
    "WriteKeyBearer": {"type": "http", "scheme": "bearer"},
}
_ERRORS = {
    "400": "Not JSON, or a single event that does not fit (`code` says how)",
    "401": "No known write key",
    "403": "The source is disabled",
    "413": f"More than {MAX_BODY:,} bytes or {MAX_EVENTS:,} events, or than the source may send "
    "at once; none was taken",
    "415": f"A Content-Encoding other than {ENCODINGS}",
    "429": "More than the source may send: send the same again after Retry-After; none was taken",
    "503": "The broker did not acknowledge in time: send the same again after Retry-After",
}


def add(app: FastAPI) -> None:
    """Describe the tracking calls in the OpenAPI document of ``app``."""
    plain = app.openapi

    def whole() -> dict[str, Any]:
        document = plain()
        if "/v1/batch" not in document["paths"]:
            _describe(document)
        return document

    app.openapi = whole  # type: ignore[method-assign]


def _describe(document: dict[str, Any]) -> None:
    models: list[type[BaseModel]] = [model for model, _ in _CALLS.values()]
    models += [Taken, Upload]
    _, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF + "{model}"
    )
    components = document["components"]
    components["schemas"] |= schema["$defs"]
    components.setdefault("securitySchemes", {}).update(_SCHEMES)
    for name, (model, example) in _CALLS.items():
        document["paths"][f"/v1/{name}"] = {"post": _operation(name, model, example)}
    again = _operation("import", Batch, _CALLS["batch"][1])
    again["parameters"] = [_HISTORY]
    document["paths"]["/v1/import"] = {"post": again}
    document["paths"]["/v1/pixel/{call}"] = {"get": _pixel()}


def _pixel() -> dict[str, Any]:
    call = {"name": "call", "in": "path", "required": True, "schema": {"enum": list(CALLS)}}
    data = {
        "name": "data",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The event's JSON in base64, `writeKey` included. Instead, each field may "
        "be a parameter, with dots into objects: `userId=u&properties.subject=Hello`.",
    }
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF + "Problem"}}}}
    image = {"content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}}}
    errors = {status: text for status, text in _ERRORS.items() if status not in ("413", "415")}
    return {
        "tags": ["events"],
        "summary": "Take one event from an image's address",
        "description": "For mails and pages without scripts. The answer is a transparent pixel "
        "even when the event is refused; then the status tells.",
        "operationId": "pixel",
        "security": [{"WriteKeyBasic": []}, {"WriteKeyBearer": []}, {}],
        "parameters": [call, data],
        "responses": {
            status: {"description": text} | image
            for status, text in {"200": "The broker has it", **errors}.items()
        }
        | {"404": {"description": "There is no such call"} | problem},
    }


def _operation(name: str, model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    many = model is Batch
    summary = "Take many calls" if many else f"Take one {name} call"
    detail = (
        "What fits is stored, and what does not is listed in `rejected`."
        if many
        else "An event that does not fit is answered 400."
    )
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF + "Problem"}}}}
    return {
        "tags": ["events"],
        "summary": summary + (" as /v1/batch does, or history" if name == "import" else ""),
        "description": f"{detail} An event has at most {MAX_EVENT:,} bytes. Bodies may be "
        f"packed: {ENCODINGS}.",
        "operationId": name,
        # Or the key in the body, which OpenAPI has no word for but an empty requirement.
        "security": [{"WriteKeyBasic": []}, {"WriteKeyBearer": []}, {}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": _REF + model.__name__}, "example": example}
            },
        },
        "responses": {
            "200": {
                "description": "The broker has them",
                "content": {"application/json": {"schema": {"$ref": _REF + "Taken"}}},
            }
        }
        | {status: {"description": text} | problem for status, text in _ERRORS.items()},
    }
