"""``regulars import`` from its options to its exit code, as far as it needs no server."""

import builtins
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from services.cli import app
from services.ingest.history.loading import parse, preset_text
from tests.importing import mapped

MAPPING = "event: Seen\nid: id\ntimestamp: at\nuser_id: id\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGULARS_WRITE_KEY", raising=False)
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "good.csv").write_text("id,at\n1,2021-05-03\n2,2021-05-04\n")
    (tmp_path / "bad.csv").write_text("id,at\n1,2021-05-03\n2,soon\n")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["import", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("good.csv",), 0),
        (("bad.csv",), 1),
        (("bad.csv", "--allow-rejects"), 0),
    ],
)
def test_a_dry_run_ends_as_the_import_would(
    folder: Path, arguments: tuple[str, ...], code: int
) -> None:
    result = run(*arguments, "--source", "s", "--mapping", "m.yaml", "--dry-run")
    assert result.exit_code == code
    assert not list(folder.glob("*.import-state.json"))


def test_refusals_are_written_with_their_lines(folder: Path) -> None:
    run("bad.csv", "--source", "s", "--mapping", "m.yaml", "--dry-run", "--rejects", "r.ndjson")
    assert [json.loads(line) for line in (folder / "r.ndjson").read_text().splitlines()] == [
        {"line": 3, "code": "bad_time", "detail": "'soon' is not a time of the form iso.",
         "event": "Seen"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("good.csv", "--mapping", "m.yaml"), "--source is a name"),
        (("good.csv", "--source", "S!", "--mapping", "m.yaml"), "--source is a name"),
        (("good.csv", "--source", "s"), "--mapping, or a preset with --preset"),
        (
            ("good.csv", "--source", "s", "--preset", "nope"),
            "choose one of segment, shopify-orders",
        ),
        (("none.csv", "--source", "s", "--mapping", "m.yaml"), "none.csv: No such file"),
        ((".", "--source", "s", "--mapping", "m.yaml"), "is a directory"),
        (("good.csv", "--source", "s", "--mapping", "none.yaml"), "none.yaml cannot be read"),
        (("good.csv", "--source", "s", "--preset", "shopify-orders"), "there is no column"),
        (("good.csv", "--source", "s", "--mapping", "m.yaml"), "set REGULARS_WRITE_KEY"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments, *([] if "WRITE_KEY" in message else ["--dry-run"]))
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_parquet_without_its_library_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(pyarrow.table({"id": ["1"], "at": ["2021-05-03"]}), folder / "a.parquet")
    arguments = ("a.parquet", "--source", "s", "--mapping", "m.yaml", "--dry-run")
    assert run(*arguments).exit_code == 0
    real = builtins.__import__

    def without(name: str, *given: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *given)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run(*arguments)
    assert result.exit_code == 2
    assert "install Regulars with its extra, regulars[history]" in result.output


def test_a_preset_is_shown_to_start_from(folder: Path) -> None:
    result = run("good.csv", "--preset", "shopify-orders", "--show-preset")
    assert result.output == preset_text("shopify-orders")


def test_a_suggestion_is_a_mapping_that_fits_the_file(folder: Path) -> None:
    header = ["Order No", "Order Date", "E-Mail", "Item", "Unit price", "Qty", "Grand Total"]
    row = ["7", "2021-05-03", "a@x.io", "Tea", "1.50", "2", "3.00"]
    (folder / "o.csv").write_text("\n".join([";".join(header), ";".join(row)]))
    text = run("o.csv", "--suggest").output
    assert parse(text, "draft").group_by == "Order No"
    [event] = mapped(text, dict(zip(header, row, strict=True)), columns=header)
    assert event["properties"] == {
        "order_id": "7", "total": 3.0,
        "products": [{"name": "Tea", "price": 1.5, "quantity": 2}],
    }  # fmt: skip
    assert event["context"] == {"traits": {"email": "a@x.io"}}
