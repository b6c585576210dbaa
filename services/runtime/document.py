"""The OpenAPI document of an API."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.runtime.problem import MEDIA_TYPE, ProblemDocument


def of(app: FastAPI) -> dict[str, Any]:
    """The document of ``app``, in which every error is a problem."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    own = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= own.pop("$defs", {})
    schemas["Problem"] = own
    for unused in ("HTTPValidationError", "ValidationError", "ProblemDocument"):
        schemas.pop(unused, None)
    for path, operations in found["paths"].items():
        for operation in operations.values():
            _describe_errors(operation, path)
    app.openapi_schema = found
    return found


def _describe_errors(operation: dict[str, Any], path: str) -> None:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses = operation.setdefault("responses", {})
    for status, response in responses.items():
        if status[0] in "45":
            pages = response.get("content", {}).keys() & {"text/html"}  # what people are shown
            response["content"] = {page: response["content"][page] for page in pages} | content
    if operation.get("security"):
        responses.setdefault("401", {"description": "No known token", "content": content})
        responses.setdefault("403", {"description": "The role is not enough", "content": content})
    if path.startswith("/v1/"):
        responses.setdefault("default", {"description": "A problem (RFC 9457)", "content": content})
