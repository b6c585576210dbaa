"""Files of exchange rates, and the command that takes them in."""

import io
import json
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.validation import Fault
from services.cli import app
from services.profile.commerce.files import read

ALL_DAYS = b"""Date,USD,JPY,CYP,
2026-03-06,1.1012,160.03,N/A,
2026-03-05,1.1000,,0.5842,
"""
LAST_DAY = b"Date, USD, JPY, \n06 March 2026, 1.1012, 160.03, \n"
LINES = b"\xef\xbb\xbfdate,currency,rate\r\n2026-03-06,usd,1.1012\r\n2026-03-06,JPY,160.03\r\n\r\n"
FRIDAY = {"USD": "1.1012", "JPY": "160.03"}


def zipped(*files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number, file in enumerate(files):
            archive.writestr(f"{number}.csv", file)
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "days"),
    [
        (ALL_DAYS, {"2026-03-06": FRIDAY, "2026-03-05": {"USD": "1.1000", "CYP": "0.5842"}}),
        (zipped(LAST_DAY), {"2026-03-06": FRIDAY}),
        (LINES, {"2026-03-06": FRIDAY}),
    ],
)
def test_rates_are_read_as_the_bank_publishes_them_or_one_a_line(data, days):
    assert read(data) == days


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "no_rates"),
        (b"day,USD\n2026-03-06,1\n", "no_header"),
        (b"Date,USD\n6.3.2026,1\n", "bad_day"),
        (b"Date,USD\n2026-03-06,0\n", "bad_rate"),
        (b"Date,USD\n2026-03-06,NaN\n", "bad_rate"),
        (b"Date,USD\n2026-03-06,1e400\n", "bad_rate"),
        (b"Date,Dollars\n2026-03-06,1\n", "unknown_currency"),
        (b"\xff\xfe\x00", "not_text"),
        (b"PK\x03\x04 no archive", "bad_zip"),
        (zipped(LAST_DAY, LAST_DAY), "bad_zip"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(data, code):
    fault = read(data)
    assert isinstance(fault, Fault)
    assert fault.code == code


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a small API of profile is asked."""
    asked: list[Any] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, self.headers["authorization"], body))
            rates = sum(map(len, body["days"].values()))
            answer = json.dumps({"days": 1, "rates": rates, "published": True}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("REGULARS_PROFILE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("REGULARS_ADMIN_TOKEN", "an-admin")
        yield asked
        server.shutdown()


def test_the_command_takes_a_file_in(asked: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "rates.zip"
    file.write_bytes(zipped(ALL_DAYS))
    told = CliRunner().invoke(app, ["rates", "import", str(file), "--since", "2026-03-06"])
    assert told.exit_code == 0
    assert "2 rates of 1 days are stored." in told.output
    body = {"reference": "EUR", "days": {"2026-03-06": FRIDAY}}
    assert asked == [("/v1/rates", "Bearer an-admin", body)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["import", "nowhere.csv"], "nowhere.csv: No such file"),
        (["import", "{bad}"], "bad_rate: Line 2"),
        (["import", "{good}", "--reference", "euro"], "EURO: a currency is a code"),
        (["fetch", "--url", "https://127.0.0.1/rates.csv"], "private_address"),
        (["fetch", "--url", "http://rates.example/rates.csv"], "not_https"),
    ],
)
def test_what_cannot_be_taken_in_ends_with_a_reason(
    arguments: list[str], reason: str, asked: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "bad").write_bytes(b"Date,USD\n2026-03-06,none\n")
    (tmp_path / "good").write_bytes(LINES)
    places = {"bad": tmp_path / "bad", "good": tmp_path / "good"}
    told = CliRunner().invoke(app, ["rates", *(one.format(**places) for one in arguments)])
    assert (told.exit_code, asked) == (2, [])
    assert reason in told.output.replace("\n", "")
