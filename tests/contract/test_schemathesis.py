"""Schemathesis calls every API as its OpenAPI document says, and as it says one must not.

Whatever is sent, the answer is one that the document has, and never a fault of ours; who shows
no key is refused, and so is a method that the document does not have. Which events fit, no
schema can say (somebody must be named, money must add up), so whether a request is accepted is
not judged here.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as of_openapi

from services import openapi
from services.runtime.keys import digest
from tests.contract.apis import served, settings_of
from tests.faults.cluster import Cluster, unique_namespace

KEY = "a-key-for-everything"
CHECKS = [
    checks.not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_headers_conformance,
    of_openapi.response_schema_conformance,
    of_openapi.allow_header_conformance,
    of_openapi.unsupported_method,
    of_openapi.ignored_auth,
]
ENDLESS = "/v1/sources/{name}/debug"
"""Its answer ends when the caller goes."""
THERE = {"name": "web", "source": "hooked", "key": "vip", "key_id": "k", "secret": "secret"}
"""What a test before may have made: half of the calls ask for it."""


def calls() -> Iterator[Any]:
    for service in openapi.SERVICES:
        document = json.loads((openapi.FOLDER / f"{service}.json").read_text())
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            if operation.path == ENDLESS:
                continue
            for mode in GenerationMode:
                name = f"{service} {operation.label}, {mode.value}"
                yield pytest.param(service, operation, mode, id=name)


@pytest.fixture(scope="module")
def urls(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    cluster = Cluster(stack, unique_namespace(), tmp_path_factory.mktemp("apis"))
    given = {
        **cluster.settings.model_dump(),
        "tokens": {digest(KEY): "admin"},
        "write_keys": {digest(KEY): "storefront"},
    }
    own: dict[str, dict[str, Any]] = {
        "ingest": {"secret_keys": [Fernet.generate_key().decode()]},
        "notifier": {"notifier_secret": KEY, "notifier_profile_url": "http://127.0.0.1:9"},
    }
    asyncio.run(cluster.create_topics([]))
    settings = {
        service: settings_of(service, **given, **own.get(service, {}))
        for service in openapi.SERVICES
    }
    with served(settings) as found:
        yield found
    asyncio.run(cluster.close())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.mark.broker
@pytest.mark.parametrize(("service", "operation", "mode"), list(calls()))
def test_an_api_answers_as_its_document_says(
    urls: dict[str, str],
    session: requests.Session,
    service: str,
    operation: Any,
    mode: GenerationMode,
) -> None:
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    @effort(
        max_examples=8,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def check(case: Any, known: bool) -> None:
        if known:
            case.path_parameters |= {
                name: THERE[name] for name in THERE.keys() & case.path_parameters.keys()
            }
        case.call_and_validate(
            base_url=urls[service],
            session=session,
            headers={"Authorization": f"Bearer {KEY}"},
            checks=CHECKS,
            timeout=10,
        )

    with suppress(Unsatisfiable):  # where nothing can be wrong with a request
        check()
