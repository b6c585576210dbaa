"""Schemathesis calls ingest as its OpenAPI document says, and as it says one must not.

Whatever is sent, the answer is one that the document has, and never a fault of ours. Which
events fit, no schema can say (somebody must be named, money must add up), so whether a
request is accepted is not judged here.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as of_openapi

from services.ingest.api import create_app
from tests.ingesting import KEY, Kept, Published, Shelf, settings

CHECKS = [
    checks.not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_headers_conformance,
    of_openapi.response_schema_conformance,
]
NEEDS_MONGODB = ("/v1/sources", "/v1/dead-letters")


def calls() -> Iterator[Any]:
    app = create_app(settings(), Shelf(), Published(), Kept())
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.startswith(NEEDS_MONGODB):
            continue
        for mode in GenerationMode:
            yield pytest.param(operation, mode, id=f"{operation.label}, {mode.value}")


@pytest.mark.parametrize(("operation", "mode"), list(calls()))
def test_ingest_answers_as_its_document_says(operation: Any, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @effort(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS)

    with suppress(Unsatisfiable):  # where nothing can be wrong with a request
        check()
