"""docs/import.md, done as it says: its files, its commands, their output, their events."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from tests.importing import served
from tests.ingesting import KEY, Shelf

PAGE = Path(__file__).parents[2] / "docs" / "import.md"
_FENCE = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = re.compile(r"seconds [\d.,]+ \([\d,]+ rows/s\)")


def blocks() -> list[tuple[str, str, str]]:
    """(language, title, text) of each fenced block."""
    return [(found[1], found[2] or "", found[3]) for found in _FENCE.finditer(PAGE.read_text())]


def tidy(text: str) -> list[str]:
    """Lines without what depends on the moment, and the width that it makes."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [_SECONDS.sub("seconds", line) for line in lines if line]


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shelf = Shelf()
    codes = []
    with served(shelf) as url:
        environment = {"REGULARS_WRITE_KEY": KEY, "REGULARS_INGEST_URL": url, "COLUMNS": "80"}
        for language, title, text in blocks():
            if title and language != "json":
                (tmp_path / title).write_text(text)
            if language != "console":
                continue
            command, _, expected = text.rpartition("$ regulars ")[2].partition("\n")
            result = CliRunner(env=environment).invoke(app, command.split())
            codes.append(result.exit_code)
            assert tidy(result.output) == tidy(expected), command
    assert codes == [1, 0, 0, 0, 0]
    assert shown(shelf.values[0]) == event_on_the_page()
    assert [one["messageId"] for one in shelf.values][4:6] == ["m-1", "m-2"]
    assert shelf.values[2]["context"] == {"consent": {"categoryPreferences": {"email": True}}}
    assert shelf.values[2]["traits"] == {
        "email": "ada@shop.example", "name": "Ada Lovelace", "address": {"city": "London"},
        "tags": ["tea", "vip"],
    }  # fmt: skip
    assert shelf.values[6]["properties"] == {"tier": "gold", "is_gold": True}
    assert len(shelf.values) == 7


def event_on_the_page() -> dict[str, Any]:
    [text] = [text for language, _, text in blocks() if language == "json"]
    said: dict[str, Any] = json.loads(text)
    return said


def shown(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "receivedAt"}
