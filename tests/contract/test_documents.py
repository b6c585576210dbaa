"""What the documents show is what happens: their examples are run."""

import json
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from schemas import validation
from schemas.catalogue import key_of, topic_of
from schemas.messages import Identifier
from services import cli, processes
from services.ingest import opening, rules
from services.ingest.api import create_app
from services.ingest.model import Accepted
from services.ingest.settings import IngestSettings
from services.profile.build.rules.orders import net_of
from services.profile.resolve.rules.acceptance import Arrival, accept_event
from services.runtime.turn import Record
from tests.contract.conformance import SCHEMAS
from tests.contract.deployment import ROOT
from tests.identity_stories import SOURCE
from tests.two_stages import Stages

EVENTS = (ROOT / "docs/events.md").read_text()
SUBSCRIBE = (ROOT / "docs/feed.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PAGES = "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
GOOD = SCHEMAS / "examples" / "good"


class Kept:
    """An outlet of ingest that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Accepted] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def unready(self) -> str | None:
        return None

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        self.events += events


def shell_sessions(text: str) -> list[tuple[str, str]]:
    """Command and answer of each console example."""
    return [
        (command, answer)
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for command, answer in re.findall(r"\$ (curl.*?')\n(\{\"success.*)\n", block, re.DOTALL)
    ]


async def answer_to(command: str, kept: Kept) -> Any:
    """What ingest answers to a curl command; ``kept`` is what it accepts."""
    words = iter(shlex.split(command)[1:])
    url, user, body = "", "", ""
    for word in words:
        if word == "-u":
            user = next(words)
        elif word == "-d":
            body = next(words)
        elif word == "-H":
            assert next(words) == "Content-Type: application/json"
        else:
            url = word
    keys = {sha256(b"demo-write-key").hexdigest(): "storefront"}
    transport = httpx.ASGITransport(create_app(IngestSettings(write_keys=keys), kept))
    async with httpx.AsyncClient(transport=transport) as client:
        auth = httpx.BasicAuth(*user.split(":"))
        return (await client.post(url, content=body, auth=auth)).json()


async def test_the_curl_examples_are_answered_as_shown() -> None:
    sessions = shell_sessions(EVENTS)
    assert len(sessions) == 3
    for command, shown in sessions:
        answer = await answer_to(command, Kept())
        assert {name: answer[name] for name in json.loads(shown)} == json.loads(shown)


async def test_the_order_of_the_example_is_handed_on_as_it_says() -> None:
    [command] = [said for said, _ in shell_sessions(EVENTS) if '"externalIds"' in said]
    await answer_to(command, kept := Kept())
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([Record(SOURCE, 0, b"k", one.value, {}) for one in kept.events])
    await stages.quiet()
    first, last = (stages.orders_of(Identifier("user_id", name)) for name in ("u-1001", "u-1002"))
    day = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
    assert first == []
    assert [(one.order_id, one.ordered_at, net_of(one)) for one in last] == [("502", day, 30)]


def test_every_code_of_an_event_is_explained_and_no_other() -> None:
    table = EVENTS.partition("| code | the event |")[2].partition("\n\n")[0]
    explained = set(re.findall(r"`([a-z_]+)`", table))
    used = {
        code
        for module in (validation, rules)
        for code in re.findall(
            r'Fault\(\s*(?:"\w+" if .*? else )?"(\w+)"', (ROOT / str(module.__file__)).read_text()
        )
    } | {"wrong_type"}
    assert explained >= used
    sources = "".join(
        (ROOT / str(one.__file__)).read_text() for one in (validation, rules, opening)
    )
    assert [code for code in explained if code.count("_") and f'"{code}"' not in sources] == []


def test_the_record_of_the_example_is_an_event_with_all_that_it_needs() -> None:
    [source] = re.findall(
        r"```python\n(import asyncio\n.*?)```",
        EVENTS.partition("## Straight to Kafka")[2],
        re.DOTALL,
    )
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "docs/events.md", "exec"), names)
    record = names["record"]("501", "u-1001", "119.80")
    now = datetime(2026, 3, 14, 10, tzinfo=UTC)
    taken = accept_event(record["value"], Arrival(dict(record["headers"]), 0), now)
    assert not isinstance(taken, validation.Fault), taken
    event, _ = taken
    assert (event.message_id, event.source) == (
        "order-501-completed",
        "https://shop.example/checkout",
    )
    assert event.timestamp == datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
    assert record["topic"] == topic_of(event.type, event.event)
    assert record["key"].decode() == key_of(event)


def people() -> Any:
    """The class that the subscriber's example declares."""
    [source] = re.findall(r"```python title=people.py\n(.*?)```", SUBSCRIBE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "docs/feed.md", "exec"), names)
    return names["People"]()


def test_the_subscriber_of_the_example_keeps_people_up_to_date() -> None:
    example = people()
    order = json.loads((GOOD / "ProfileChanged.order.json").read_text())
    profile_id, [former] = order["profile_id"], order["merged_from"]

    def tell(key: str, value: dict[str, Any] | None) -> None:
        example.apply(key.encode(), None if value is None else json.dumps(value).encode())

    tell(former, order | {"profile_id": former, "version": 5})
    tell(profile_id, order)
    tell(profile_id, order | {"version": 17})  # published again after a crash
    assert (example.get(former)["version"], example.get(profile_id)["version"]) == (5, 18)

    tell(former, json.loads((GOOD / "ProfileChanged.redirect.json").read_text()))
    assert example.get(former) == example.get(profile_id) == order

    tell(former, order | {"profile_id": former, "version": 7})  # the merge is undone
    assert example.get(former)["version"] == 7

    crossed = {"profile_id": profile_id, "version": 19, "merged_into": former}
    tell(profile_id, crossed)  # and made the other way round
    assert example.get(profile_id)["version"] == 7
    tell(former, {"profile_id": former, "version": 8, "merged_into": profile_id})
    assert example.get(profile_id) is None  # until the other partition has told as much

    tell(profile_id, None)
    assert example.get(profile_id) is None
    assert list(example.told) == [former]


@pytest.mark.parametrize(
    "spec", [*processes.ALL, *processes.OPTIONAL], ids=lambda spec: " ".join(spec.command)
)
def test_every_process_is_in_the_table_of_processes(spec: processes.ProcessSpec) -> None:
    assert f"| `regulars {' '.join(spec.command)}` | {spec.port} |" in OPERATIONS


@pytest.mark.parametrize(
    "command",
    sorted(set(re.findall(r"regulars (dead-letters \w+|topics \w+|sources [\w-]+)", PAGES))),
)
def test_a_command_in_the_documents_exists(command: str) -> None:
    assert CliRunner().invoke(cli.app, [*command.split(), "--help"]).exit_code == 0
