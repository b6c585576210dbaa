"""The OpenAPI documents describe the APIs as they run, and completely."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services import openapi
from tests.contract.conformance import references

SERVICES = pytest.mark.parametrize("service", openapi.SERVICES)
OPEN_TO_ALL = (
    "/health/",
    "/metrics",
    "/unsubscribe/",
    "/v1/consent/",  # as these, by a signed link
    "/v1/hooks/",  # hooks are signed
)
METHODS = {"get", "put", "post", "delete", "patch"}


@cache
def document(service: str) -> Any:
    return json.loads(openapi.render(service))


def operations(service: str) -> Iterator[tuple[str, str, Any]]:
    for path, item in document(service)["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


@SERVICES
def test_the_document_is_up_to_date(service: str) -> None:
    assert (openapi.FOLDER / f"{service}.json").read_text() == openapi.render(service)


def test_a_changed_document_is_called_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "SERVICES", ("reporting",))
    monkeypatch.setattr(openapi, "FOLDER", tmp_path / "docs" / "openapi")
    assert openapi.main(["--check"]) == 1
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0
    (tmp_path / "docs/openapi/reporting.json").write_text("{}")
    assert openapi.main(["--check"]) == 1
    stale = "stale: docs/openapi/reporting.json (run python -m services.openapi)"
    assert capsys.readouterr().out.splitlines().count(stale) == 2


@SERVICES
def test_every_reference_leads_somewhere(service: str) -> None:
    found = set(references(document(service)))
    assert found != set()
    for reference in found:
        place = document(service)
        for token in reference.removeprefix("#/").split("/"):
            place = place[token]


@SERVICES
def test_every_operation_says_what_it_does_under_a_name_of_its_own(service: str) -> None:
    names = [operation["operationId"] for _, _, operation in operations(service)]
    assert len(names) == len(set(names)) >= 4
    assert [path for path, _, operation in operations(service) if not operation["summary"]] == []


@SERVICES
def test_every_answer_that_is_an_error_is_a_problem(service: str) -> None:
    for path, method, operation in operations(service):
        if "image/gif" in operation["responses"].get("200", {}).get("content", {}):
            continue  # what asks is an image: it is shown one whatever happens
        for status, response in operation["responses"].items():
            if status[0] in "45":
                assert "application/problem+json" in response["content"], (path, method, status)


@SERVICES
def test_everything_that_is_not_open_to_all_names_its_key(service: str) -> None:
    unlocked = [
        path
        for path, _, operation in operations(service)
        if not operation.get("security") and not path.startswith(OPEN_TO_ALL)
    ]
    assert unlocked == []
