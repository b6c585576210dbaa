"""How much a stage's turn takes while turns fail, and how the culprit is found."""

from datetime import UTC, datetime

from services.runtime.pace import Pace
from services.runtime.turn import Completion, Record, Source, Timer

SOURCE = Source("group/topic/0", "topic", 0)
RECORD = Record(SOURCE, 0, b"key", b"value", {}, 0)
TIMER = Timer(SOURCE, "key", datetime(2026, 3, 1, tzinfo=UTC), b"")
COMPLETION = Completion(SOURCE, None)


def test_turns_are_halved_while_they_fail_and_doubled_while_they_work() -> None:
    pace = Pace(1_000)
    limits = [pace.limit]
    for _ in range(3):
        pace.failed("conflict", waiting=900)
        limits.append(pace.limit)
    for _ in range(5):
        pace.worked()
        limits.append(pace.limit)
    assert limits == [1_000, 450, 225, 112, 224, 448, 896, 1_000, 1_000]


def test_servers_that_are_away_say_nothing_of_the_inputs() -> None:
    pace = Pace(1_000)
    waits = [pace.failed("unavailable", waiting=900) for _ in range(8)]
    assert pace.limit == 1_000
    assert waits[-1] > waits[0]
    assert pace.choose(([RECORD], [TIMER], [COMPLETION])) == ([RECORD], [TIMER], [COMPLETION])


def test_while_the_culprit_is_searched_a_turn_takes_one_kind_of_input() -> None:
    pace = Pace(1_000)
    pace.failed("failed", waiting=10)
    assert pace.choose(([RECORD], [TIMER], [COMPLETION])) == ([RECORD], [], [])
    assert pace.choose(([], [TIMER], [COMPLETION])) == ([], [TIMER], [])
    assert pace.choose(([], [], [COMPLETION])) == ([], [], [COMPLETION])
    while pace.limit < 1_000:
        pace.worked()
    assert pace.choose(([RECORD], [TIMER], [COMPLETION])) == ([RECORD], [TIMER], [COMPLETION])


def test_what_fails_alone_five_times_is_set_aside() -> None:
    pace = Pace(4)
    failures = 0
    while not pace.gives_up():
        pace.failed("failed", waiting=4)
        failures += 1
    assert failures == 2 + 5  # at four, at two, then alone
    pace.worked()
    assert not pace.gives_up()


def test_a_handler_that_fails_on_everything_sets_ten_aside_and_stops() -> None:
    pace = Pace(1)
    aside = 0
    for _ in range(20):
        for _ in range(5):
            pace.failed("failed", waiting=1)
        if pace.gives_up():
            aside += 1
            pace.worked()
    assert aside == 10
    pace.handled()
    assert pace.gives_up()
