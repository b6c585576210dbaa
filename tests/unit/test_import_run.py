"""A whole import into an ingest of this process: batches, refusals, waiting, going on."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from sys import modules
from typing import Any

import httpx
import msgspec
import pytest

from services.ingest.api import create_app
from services.ingest.history.batches import Batch, batches, units
from services.ingest.history.files.reading import open_rows
from services.ingest.history.identity import Namer
from services.ingest.history.loading import parse
from services.ingest.history.mapping import Mapper
from services.ingest.history.model import Made, Refusal, Unusable
from services.ingest.history.resume import Counts, Ledger, Rejects, State, job_of
from services.ingest.history.run import Journal, run
from services.ingest.history.sending import Sender, Verdict
from services.ingest.history.tally import DryRun, People, dry_run
from tests.importing import NOW
from tests.ingesting import KEY, Published, Shelf, settings

MAPPING = """
type: track
event: Order Completed
id: order
timestamp: at
user_id: customer
email: mail
properties: {order_id: order, revenue: revenue, currency: currency}
"""
HEADER = "order,at,customer,mail,revenue,currency\n"


def orders(path: Path, count: int, *more: str) -> Path:
    rows = (f"{n},2021-05-03,c{n % 7},,{n}.10,EUR\n" for n in range(count))
    path.write_text(HEADER + "".join([*rows, *more]))
    return path


def batches_of(
    path: Path, size: int = 100, start: tuple[int, int] = (0, 0), said: str = MAPPING
) -> list[Batch]:
    mapping = parse(said, "m")
    reader = open_rows(path, mapping)
    mapper = Mapper(mapping, Namer("shop"), reader.columns, NOW)
    found = list(batches(units(reader, mapping, start), mapper, size))
    reader.close()
    return found


def sender_to(shelf: Shelf, **given: Any) -> Sender:
    transport = httpx.ASGITransport(create_app(settings(), shelf, Published()))
    return sender(transport, **given)


def sender(transport: httpx.AsyncBaseTransport, key: str = KEY, patience: float = 60) -> Sender:
    return Sender("http://ingest", key, connections=4, patience=patience, transport=transport)


JournalIn = Callable[..., Journal]


@pytest.fixture
def journal_in() -> Iterator[JournalIn]:
    """A journal that keeps its files in a folder."""
    opened: list[Rejects] = []

    def make(folder: Path, state: State | None = None) -> Journal:
        ledger = Ledger(folder / "state", "job")
        opened.append(Rejects(folder / "rejects", 0))
        return Journal(state or ledger.start(), ledger, opened[-1])

    yield make
    for rejects in opened:
        rejects.close()


async def send(found: list[Batch], outlet: Any, journal: Journal, in_flight: int = 4) -> None:
    await run(found, outlet, journal, in_flight=in_flight, look=lambda: None)


async def test_every_row_arrives_once_as_history_and_every_refusal_is_noted(
    tmp_path: Path,
    journal_in: JournalIn,
) -> None:
    bad = '8,2021-05-03,c1,,"1,5",EUR\n', "9,2021-05-03,,,1,EUR\n", "10,2021-05-03,c,,1,XYZ\n"
    path = orders(tmp_path / "orders.csv", 1_000, *bad)
    shelf, journal = Shelf(), journal_in(tmp_path)
    async with sender_to(shelf) as outlet:
        await send(batches_of(path), outlet, journal)
    assert len(shelf.values) == len({event["messageId"] for event in shelf.values}) == 1_000
    assert {tuple(event["flags"]) for event in shelf.values} == {("history",)}
    assert journal.counts == Counts(
        rows=1_003, accepted=1_000,
        refused={"bad_number": 1, "missing_id": 1, "unknown_currency": 1},
    )  # fmt: skip
    noted = [json.loads(line) for line in (tmp_path / "rejects").read_text().splitlines()]
    assert [(one["line"], one["code"]) for one in noted] == [
        (1_002, "bad_number"), (1_003, "missing_id"), (1_004, "unknown_currency"),
    ]  # fmt: skip


async def test_a_second_run_sends_the_same_ids(
    tmp_path: Path,
    journal_in: JournalIn,
) -> None:
    path = orders(tmp_path / "orders.csv", 250)
    shelf = Shelf()
    for size in (100, 33):
        async with sender_to(shelf) as outlet:
            await send(batches_of(path, size), outlet, journal_in(tmp_path))
    assert set(Counter(event["messageId"] for event in shelf.values).values()) == {2}


def test_rows_that_become_nothing_end_a_batch_too_so_that_progress_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + "1,yesterday,c,,1,EUR\n" * 5)
    assert [len(batch.refused) for batch in batches_of(path, 2)] == [2, 2, 1]
    monkeypatch.setattr(modules[batches.__module__], "_ROWS", 3)
    assert [(batch.rows, batch.line) for batch in batches_of(path)] == [(3, 4), (2, 6)]


def test_after_an_order_of_several_rows_lines_are_numbered_as_before(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    lines = ["1,2021-05-03,c,,1,EUR\n"] * 3 + ["2,2021-05-03,c,,1,EUR\n", "3,never,c,,1,EUR\n"]
    path.write_text(HEADER + "".join(lines))
    said = MAPPING + "group_by: order\n"
    first, *_ = whole = batches_of(path, 1, said=said)
    rest = batches_of(path, 1, (first.end, first.line), said)
    assert [(one.line, one.code) for batch in whole for one in batch.refused] == [(6, "bad_time")]
    assert [(one.line, one.code) for batch in rest for one in batch.refused] == [(6, "bad_time")]


def test_no_batch_is_too_large_for_ingest(tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    rows = [
        {"order": n, "at": "2021-05-03", "customer": "c", "mail": "x" * 9_000} for n in range(200)
    ]
    rows.insert(7, rows[7] | {"mail": "x" * 40_000})
    path.write_text("\n".join(map(json.dumps, rows)))
    found = batches_of(path, 2_500)
    assert max(len(batch.body) for batch in found) <= 500 * 1024
    assert sum(len(batch.made) for batch in found) == 200
    assert [(one.line, one.code) for batch in found for one in batch.refused] == [
        (8, "event_too_large")
    ]


class Answers(httpx.AsyncBaseTransport):
    """Answers that a test gives, and then 200."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json={"accepted": 1})
        if isinstance(answer, Exception):
            raise answer
        return answer


ONE = Batch(made=[Made(2, b"{}", "m1")], rows=1, end=10, line=2)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, which take no time."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


async def test_it_waits_as_long_as_ingest_asks_and_sends_the_same_again(naps: list[float]) -> None:
    transport = Answers(
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(503, headers={"Retry-After": "2"}),
        httpx.ConnectError("refused"),
        httpx.Response(502, text="<html>"),
    )
    async with sender(transport) as outlet:
        assert await outlet.send(ONE) == Verdict(1, 0, [])
    assert naps[0] == 7
    assert naps[1] >= 2
    assert len(naps) == 4
    assert len({request.content for request in transport.asked}) == 1
    assert transport.asked[0].url.path == "/v1/import"
    assert transport.asked[0].url.query == b"history=true"


async def test_it_gives_up_when_nothing_at_all_is_taken(naps: list[float]) -> None:
    async with sender(Answers(*[httpx.ConnectError("refused")] * 3), patience=0) as outlet:
        with pytest.raises(Unusable, match="takes no events: ConnectError refused"):
            await outlet.send(ONE)


class Moving:
    """Monotonic seconds, which pass while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(modules[Sender.__module__], "monotonic", lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_its_patience_begins_anew_whenever_anything_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Moving(monkeypatch)
    slow = Batch(made=[Made(3, b'{"slow":1}', "m2")], rows=1, end=20, line=3)
    busy = httpx.Response(503, headers={"Retry-After": "50"})

    class Others(Answers):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if gzip.decompress(request.content) != ONE.body:
                await outlet.send(ONE)
                return await super().handle_async_request(request)
            return httpx.Response(200, json={"accepted": 1})

    async with sender(Others(busy, busy, busy), patience=60) as outlet:
        assert await outlet.send(slow) == Verdict(1, 0, [])


async def test_its_patience_does_not_count_how_long_the_file_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Moving(monkeypatch)
    async with sender(Answers(httpx.Response(503)), patience=60) as outlet:
        clock.now += 100
        assert await outlet.send(ONE) == Verdict(1, 0, [])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(401, json={"detail": "Send a known key."}), "write key: 401 Send a known"),
        (httpx.Response(403, json={"detail": "Disabled."}), "write key: 403 Disabled"),
        (httpx.Response(404, text="not here"), "answered 404 not here"),
        (httpx.Response(200, text="<html>"), "this is no ingest"),
        (
            httpx.Response(200, json={"accepted": 0, "rejected": [{"index": 9, "code": "x"}]}),
            "no ingest",
        ),
    ],
)
async def test_what_no_waiting_can_mend_ends_it_at_once(
    answer: httpx.Response, message: str, naps: list[float]
) -> None:
    async with sender(Answers(answer)) as outlet:
        with pytest.raises(Unusable, match=message):
            await outlet.send(ONE)
    assert naps == []


class Slow:
    """Takes batches in whatever order a test lets them."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = {}
        self.sent: list[int] = []

    async def send(self, batch: Batch) -> Verdict:
        self.sent.append(batch.end)
        gate = self.gates.setdefault(batch.end, asyncio.Event())
        await gate.wait()
        return Verdict(len(batch.made), 0, [])


async def settled(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_a_place_is_noted_only_when_all_before_it_is_acknowledged(
    tmp_path: Path, journal_in: JournalIn
) -> None:
    found = [Batch(made=[Made(n, b"{}", f"m{n}")], rows=1, end=n, line=n) for n in range(1, 9)]
    slow, journal = Slow(), journal_in(tmp_path)
    noted = Ledger(tmp_path / "state", "job")
    task = asyncio.create_task(send(found, slow, journal, in_flight=3))
    await settled(lambda: len(slow.sent) == 3)
    slow.gates[2].set()
    slow.gates[3].set()
    await asyncio.sleep(0)
    state = noted.find()
    assert (state and state.offset, slow.sent) == (0, [1, 2, 3])  # at most three at once
    slow.gates[1].set()
    await settled(lambda: len(slow.sent) == 6)
    state = noted.find()
    assert state is not None
    assert (state.offset, state.counts.accepted) == (3, 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_going_on_where_it_stopped_gives_what_one_run_gives(
    tmp_path: Path, journal_in: JournalIn
) -> None:
    bad = "8,2021-05-03,c1,,x,EUR\n"
    path = orders(tmp_path / "orders.csv", 500, bad, *[bad] * 3)

    class Breaks:
        taken = 0

        async def send(self, batch: Batch) -> Verdict:
            self.taken += 1
            if self.taken > 3:
                raise Unusable("away")
            return Verdict(len(batch.made), 0, [])

    with pytest.raises(Unusable):
        await send(batches_of(path, 100), Breaks(), journal_in(tmp_path), in_flight=1)
    state = Ledger(tmp_path / "state", "job").find()
    assert state is not None
    assert (state.line, state.counts.accepted) == (301, 300)
    shelf, journal = Shelf(), journal_in(tmp_path, state)
    async with sender_to(shelf) as outlet:
        await send(batches_of(path, 100, (state.offset, state.line)), outlet, journal)
    assert journal.counts == Counts(rows=504, accepted=500, refused={"bad_number": 4})
    assert [event["properties"]["order_id"] for event in shelf.values] == [
        str(n) for n in range(300, 500)
    ]


def test_a_state_belongs_to_one_file_and_one_mapping(tmp_path: Path) -> None:
    path = orders(tmp_path / "orders.csv", 5)
    mapping = parse(MAPPING, "m")
    job = job_of(path, mapping, "shop", "http://ingest")
    assert job == job_of(path, parse("# again\n" + MAPPING, "m"), "shop", "http://ingest")
    assert job != job_of(path, parse(MAPPING + "row_number: true", "m"), "shop", "http://ingest")
    assert job != job_of(path, mapping, "other", "http://ingest")
    ledger = Ledger(tmp_path / "state", job)
    ledger.note(State(job, offset=7, line=2))
    assert ledger.find() == State(job, offset=7, line=2)
    orders(path, 6)
    another = Ledger(tmp_path / "state", job_of(path, mapping, "shop", "http://ingest"))
    assert another.find() is None
    ledger.finish()
    assert ledger.find() is None
    (tmp_path / "state").write_text("{")
    with pytest.raises(Unusable, match="--restart"):
        ledger.find()
    with pytest.raises(Unusable, match="--state"):
        Ledger(tmp_path / "no" / "state", job).start()


def test_a_file_that_differs_at_its_end_alone_is_another(tmp_path: Path) -> None:
    mapping, path = parse(MAPPING, "m"), tmp_path / "orders.csv"
    jobs = set[str]()
    for end in (b"1", b"2"):
        path.write_bytes(b"x" * 2_500_000 + end)
        jobs.add(job_of(path, mapping, "shop", "http://ingest"))
    assert len(jobs) == 2


def test_refusals_of_lost_batches_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    rejects = Rejects(path, 0)
    rejects.write([Refusal(1, "a", "")])
    kept = rejects.size
    rejects.write([Refusal(2, "b", "")])
    rejects.close()
    again = Rejects(path, kept)
    again.write([Refusal(3, "c", "")])
    again.close()
    assert [json.loads(line)["line"] for line in path.read_text().splitlines()] == [1, 3]


# -- the dry run --------------------------------------------------------------------------


async def test_a_dry_run_says_of_each_row_what_ingest_says(
    tmp_path: Path, journal_in: JournalIn
) -> None:
    odd = [
        "8,2021-05-03,c1,,-1,EUR\n", "9,2021-05-03,,,1,EUR\n", "10,2021-05-03,c,,1,XYZ\n",
        ",2021-05-03,c1,,1,EUR\n", "11,1980-01-01,c,,1,EUR\n", "212,2021-05-03,,Ada@x.io,2,\n",
        "3,2021-05-03,c1,,3.10,EUR\n",
    ]  # fmt: skip
    found = batches_of(orders(tmp_path / "orders.csv", 100, *odd))
    shelf, journal = Shelf(), journal_in(tmp_path)
    async with sender_to(shelf) as outlet:
        await send(found, outlet, journal)
    kept: list[Refusal] = []
    dry = dry_run(batches_of(tmp_path / "orders.csv"), NOW, kept.extend, lambda rows: None)
    tally = dry.tally
    assert dict(tally.refused) == journal.counts.refused
    assert [msgspec.to_builtins(one) for one in kept] == [
        json.loads(line) for line in (tmp_path / "rejects").read_text().splitlines()
    ]
    assert (tally.rows, tally.accepted, tally.repeated) == (107, 101, 1)
    assert tally.accepted == len({event["messageId"] for event in shelf.values})
    assert tally.revenue == {
        "EUR": sum((Decimal(n) + Decimal("0.10") for n in range(100)), Decimal(0)),
        "USD": Decimal(2),
    }
    assert dry.people.count == 8
    assert str(tally.first) == "2021-05-03 00:00:00+00:00"


def test_revenue_is_what_an_order_will_add_to_it() -> None:
    dry = DryRun(NOW)
    said = [
        ("Order Completed", {"order_id": "1", "total": "12", "tax": "1", "shipping": 2}),
        ("Order Completed", {"order_id": "2", "products": [{"price": 5, "quantity": 2}]}),
        ("Order Refunded", {"order_id": "1", "total": "-3.5"}),
    ]
    for index, (name, properties) in enumerate(said):
        event = {"type": "track", "event": name, "userId": "u", "messageId": f"m{index}"}
        text = msgspec.json.encode(event | {"timestamp": "2021-05-03", "properties": properties})
        assert dry.take(Batch(made=[Made(1, text, f"m{index}")])) == []
    assert (dry.tally.revenue, dry.tally.refunded) == ({"USD": 19}, {"USD": Decimal("3.5")})


def test_people_are_counted_exactly_and_then_nearly() -> None:
    few, many = People(1_000), People(1_000)
    for number in range(20_000):
        few.add(str(number % 999))
        many.add(str(number))
        many.add(str(number))
    assert (few.count, few.exact) == (999, True)
    assert not many.exact
    assert abs(many.count - 20_000) < 2_000
