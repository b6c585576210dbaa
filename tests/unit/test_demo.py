"""The demo's data, simulated shop and supervision, without servers."""

import io
import os
import signal
import stat
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise, takewhile
from pathlib import Path
from queue import Queue
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy.demo import cdnow
from deploy.demo.addresses import CONTROLLER, KAFKA, addresses, free_ports
from deploy.demo.cdnow import KNOWN, Purchase, Totals
from deploy.demo.environment import TOKENS, WRITE_KEY, secret_key
from deploy.demo.goods import population
from deploy.demo.marketing import CAMPAIGNS, SEGMENTS
from deploy.demo.replay import compare
from deploy.demo.shop import Delivery, deliveries
from deploy.demo.supervisor import Supervisor
from deploy.demo.watch import Watch, pause
from deploy.local.processes import Process
from schemas.messages import Event
from schemas.properties.tidy import tidy
from schemas.validation import check, doubts
from services.cli import app
from services.ingest.sources.seals import Seals
from services.notifier.routes.answers import CampaignBody
from services.segmentation.rules.parse import parse as parse_segment

HEADER = " customer_id  date number_of_cds  dollar_value\n"
MINUTES = 600.0
RATE = 20.0


@pytest.fixture(scope="module")
def purchases() -> list[Purchase]:
    return cdnow.read()


@pytest.fixture(scope="module")
def sent() -> list[Delivery]:
    return _ten_minutes("seed")


def _ten_minutes(seed: str) -> list[Delivery]:
    return list(takewhile(lambda item: item.sent < MINUTES, deliveries(seed, RATE)))


def _checked(event: dict[str, Any]) -> Any:
    """What the contract says about an event as ingest would pass it on."""
    whole = {"timestamp": "2026-01-01T12:00:00Z", "receivedAt": "2026-01-01T12:00:00Z", **event}
    return check(msgspec.convert({"source": "shop", **whole}, Event))


def test_the_purchase_log_has_its_published_totals(purchases: list[Purchase]) -> None:
    assert cdnow.totals(purchases) == KNOWN
    assert Totals(23_570, 69_659, Decimal("2500315.63")) == KNOWN
    days = {purchase.day for purchase in purchases}
    assert (min(days), max(days)) == (cdnow.FIRST_DAY, cdnow.LAST_DAY)


def test_lines_that_are_alike_are_purchases_of_their_own() -> None:
    line = " 00002 19970112  1   12.00\n"
    first, second = cdnow.parse([HEADER, line, line])
    assert cdnow.order(first)["messageId"] == "cdnow-1-order"
    assert cdnow.order(second)["messageId"] == "cdnow-2-order"
    assert cdnow.totals([first, second]) == Totals(1, 2, Decimal("24.00"))


def test_every_purchase_is_sent_once_after_its_customer_was_named(
    purchases: list[Purchase],
) -> None:
    batches = list(cdnow.batches(purchases, 250))
    events = [event for batch in batches for event in batch]
    ids = [event["messageId"] for event in events]
    assert len(events) == KNOWN.customers + KNOWN.orders == len(set(ids))
    revenue = (Decimal(e["properties"]["revenue"]) for e in events if e["type"] == "track")
    assert sum(revenue) == KNOWN.revenue
    seen: dict[str, str] = {}
    for event in events:
        user, at = event["userId"], event["timestamp"]
        assert (event["type"] == "identify") == (user not in seen)
        assert seen.get(user, at) <= at
        seen[user] = at
    owners = [{event["userId"] for event in batch} for batch in batches]
    assert sum(map(len, owners)) == KNOWN.customers  # nobody is in two batches
    assert max(len(msgspec.json.encode({"batch": batch})) for batch in batches) < 500_000


def test_the_events_of_the_log_are_the_same_every_time(purchases: list[Purchase]) -> None:
    assert list(cdnow.batches(purchases[:500], 50)) == list(cdnow.batches(purchases[:500], 50))


def test_product_lines_add_up_to_the_cent(purchases: list[Purchase]) -> None:
    for purchase in purchases:
        lines = cdnow.lines(purchase.cds, purchase.dollars)
        total = sum(Decimal(line["price"]) * line["quantity"] for line in lines)
        assert (total, sum(line["quantity"] for line in lines)) == (purchase.dollars, purchase.cds)


def test_the_contract_accepts_every_event_of_the_log(purchases: list[Purchase]) -> None:
    free = [purchase for purchase in purchases if not purchase.dollars]
    assert len(free) == 80
    for batch in cdnow.batches(purchases[:300] + free, 100):
        assert [_checked(event) for event in batch] == [None] * len(batch)


def test_the_shop_keeps_its_rate(sent: list[Delivery]) -> None:
    assert len(sent) / MINUTES == pytest.approx(RATE, rel=0.15)
    assert sum(item.sent < 10 for item in sent) > 5 * RATE  # it is busy from the start


def test_the_same_seed_gives_the_same_shop(sent: list[Delivery]) -> None:
    assert _ten_minutes("seed") == sent
    other = {item.event["messageId"] for item in _ten_minutes("other")}
    assert other.isdisjoint(item.event["messageId"] for item in sent)


def test_the_contract_accepts_every_event_of_the_shop(sent: list[Delivery]) -> None:
    assert {_checked(item.event) for item in sent} == {None}


def test_the_shop_writes_properties_as_the_contract_has_them(sent: list[Delivery]) -> None:
    for name, said in ((i.event.get("event", ""), i.event.get("properties", {})) for i in sent):
        assert doubts(name, said) == ()
        assert not tidy(name, said), (name, said)


def test_the_shop_sends_everything_that_shops_send(sent: list[Delivery]) -> None:
    names = {item.event.get("event", item.event["type"]) for item in sent}
    assert names >= {
        "page",
        "identify",
        "Consent Updated",
        "Products Searched",
        "Product Viewed",
        "Product Added",
        "Cart Viewed",
        "Order Completed",
        "Order Cancelled",
        "Order Refunded",
        "Live Chat Message Sent",
    }
    devices: dict[str, set[str]] = {}
    for item in sent:
        if item.event["type"] == "identify":
            devices.setdefault(item.event["userId"], set()).add(item.event["anonymousId"])
    assert max(map(len, devices.values())) == 2


def test_some_events_come_twice_some_late_some_overtaken(sent: list[Delivery]) -> None:
    assert all(one.sent <= other.sent for one, other in pairwise(sent))
    times = Counter(item.event["messageId"] for item in sent)
    assert sum(count == 2 for count in times.values()) / len(times) == pytest.approx(0.02, abs=0.01)
    late = sum(item.sent - item.happened > 3_600 for item in sent)
    assert late / len(sent) == pytest.approx(0.015, abs=0.01)
    assert all(item.happened <= item.sent for item in sent)  # nothing comes from the future
    on_time = [item.happened for item in sent if item.sent - item.happened < 60]
    assert any(one > other for one, other in pairwise(on_time))


def test_orders_are_never_numbered_twice(sent: list[Delivery]) -> None:
    ordered = {
        item.event["messageId"]: item.event["properties"]["order_id"]
        for item in sent
        if item.event.get("event") == "Order Completed"
    }
    assert len(ordered) == len(set(ordered.values())) > 50


def test_the_same_people_come_in_every_run() -> None:
    people = population(50)
    assert people == population(60)[:50]
    assert len({person.email for person in people}) == 50


@pytest.mark.parametrize("key", SEGMENTS)
def test_the_segments_are_accepted(key: str) -> None:
    parsed = parse_segment({**SEGMENTS[key]})
    assert not isinstance(parsed, list)


@pytest.mark.parametrize("key", CAMPAIGNS)
def test_the_campaigns_are_accepted(key: str) -> None:
    body = CampaignBody.model_validate(CAMPAIGNS[key])
    assert body.trigger.segment in SEGMENTS


def test_every_address_can_be_moved_by_its_setting() -> None:
    where = addresses(environ={})
    assert (where["ingest"].port, where["console"].port) == (8100, 8000)
    moved = addresses(
        {"ingest": 1}, {"REGULARS_PROFILE_PORT": "2", "REGULARS_LOCAL_KAFKA_PORT": "3"}
    )
    assert (moved["ingest"].port, moved["profile"].port) == (1, 2)
    assert (moved[KAFKA].port, moved[CONTROLLER].port) == (3, 4)
    assert len({address.port for address in where.values()}) == len(where)
    assert len(set(free_ports().values())) == len(where)


def test_a_process_that_keeps_ending_is_started_less_and_less_often() -> None:
    assert [pause(ends) for ends in range(7)] == [0, 0.5, 1, 2, 4, 8, 10]


def test_a_process_that_ends_is_started_again_and_one_line_says_so(tmp_path: Path) -> None:
    told = Queue[str]()
    process = Process("sleeper", ["sleep", "100"], {}, tmp_path / "sleeper.log")
    process.start()
    first = process.pid
    watch = Watch([process], told.put)
    watch.start()
    try:
        os.kill(first, signal.SIGKILL)
        assert told.get(timeout=10) == "sleeper ended (SIGKILL): started again"
        watch.stop()
        assert process.alive
        assert process.pid != first
    finally:
        watch.stop()
        process.kill()
    assert told.empty()


def test_reports_that_differ_are_said_to_differ() -> None:
    screen = Console(file=io.StringIO(), width=100)
    assert compare(KNOWN, KNOWN, screen)
    cent_less = replace(KNOWN, revenue=KNOWN.revenue - Decimal("0.01"))
    assert not compare(KNOWN, cent_less, screen)
    assert not compare(cent_less, cent_less, screen)


@pytest.mark.parametrize("command", ["demo", "up"])
def test_the_help_names_the_key_and_the_tokens(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], terminal_width=200).stdout
    for name in (WRITE_KEY, *TOKENS):
        assert name in said


def test_an_installation_without_the_local_part_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "deploy.demo.run", None)
    result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "make setup" in result.stderr


def test_the_key_of_the_secrets_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = secret_key(data)
    assert secret_key(data) == key != secret_key(tmp_path / "other")
    assert Seals([key]).open(Seals([key]).seal("hush", datetime.now(UTC))) == "hush"
    [path] = data.iterdir()
    assert stat.filemode(path.stat().st_mode) == "-rw-------"
    assert CliRunner().invoke(app, ["reset", "--data", str(data)]).exit_code == 0
    assert list(data.iterdir()) == []


def test_reset_deletes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "kafka").mkdir(parents=True)
    (data / "mine.txt").write_text("not the demo's")
    result = CliRunner().invoke(app, ["reset", "--data", str(data)])
    assert result.exit_code == 0
    assert [path.name for path in data.iterdir()] == ["mine.txt"]


def test_webhooks_are_sent_only_where_that_is_asked_for(tmp_path: Path) -> None:
    usual, asked = (
        set(Supervisor(tmp_path, kafka_url="k", mongo_url="m", webhooks=webhooks)._processes)
        for webhooks in (False, True)
    )
    assert asked - usual == {"profile-feed"}
