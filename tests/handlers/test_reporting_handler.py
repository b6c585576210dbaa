"""The reporting handler on a store in memory: what a turn changes, and what it spares."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.messages import MessageChanged, Order, SegmentChanged
from services.reporting.handler import ReportingHandler
from services.runtime.turn import Record, Turn
from tests.reporting import NOW, FakeStore, Log, money, turn


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def handler(store: FakeStore) -> ReportingHandler:
    return ReportingHandler(store)


def order(order_id: str = "o1", revenue: str = "10.00", **fields: Any) -> Order:
    return Order(
        order_id=order_id,
        currency="USD",
        ordered_at=NOW,
        updated_at=NOW,
        revenue=money(revenue),
        **fields,
    )


async def run(handler: ReportingHandler, *records: Record) -> Turn:
    done = turn(*records)
    await handler.handle(done)
    return done


REVENUE = ("revenue_by_day", "all", ("USD",))
CUSTOMERS = ("customers", "all", ())


async def test_a_change_of_an_order_replaces_what_it_added(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(handler, log.changed("p1", 1, first_seen=NOW, orders=[order()]))
    await run(handler, log.changed("p1", 2, first_seen=NOW, orders=[order(revenue="7.25")]))
    assert store.rows()[REVENUE] == {"orders": 1, "revenue": money("7.25")}
    assert store.rows()[CUSTOMERS] == {"new_people": 1, "with_orders": 1, "new_customers": 1}


async def test_of_several_versions_in_a_turn_the_highest_counts_once(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(
        handler,
        log.changed("p1", 1, orders=[order()]),
        log.changed("p1", 3, orders=[order(), order("o2", "1.00")]),
        log.changed("p1", 2, orders=[order(), order("o3", "99.00")]),
    )
    assert store.rows()[REVENUE] == {"orders": 2, "revenue": money("11.00")}
    assert store.people["p1"].version == 3


async def test_an_older_version_is_dropped_with_and_without_the_cache(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(handler, log.changed("p1", 2, orders=[order()]))
    for lost in (False, True):
        if lost:
            handler.lost(None)
        done = await run(handler, log.changed("p1", 1, orders=[]))
        assert done.dropped == {"older_version": 1}
    assert store.rows()[REVENUE] == {"orders": 1, "revenue": money("10.00")}


async def test_a_merge_moves_orders_and_counts_one_person(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(
        handler,
        log.changed("p1", 4, first_seen=NOW, orders=[order()]),
        log.changed("p2", 2, first_seen=NOW - timedelta(days=1)),
    )
    await run(handler, log.changed("p1", 5, merged_into="p2"))
    assert REVENUE not in store.rows()
    await run(handler, log.changed("p2", 3, first_seen=NOW - timedelta(days=1), orders=[order()]))
    assert store.rows()[REVENUE] == {"orders": 1, "revenue": money("10.00")}
    assert store.rows()[CUSTOMERS] == {"new_people": 1, "with_orders": 1, "new_customers": 1}


async def test_an_erased_person_leaves_the_tables(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(handler, log.changed("p1", 4, first_seen=NOW, orders=[order()]))
    await run(handler, log.record("profile.changes", "p1", None))
    assert store.rows() == {}
    assert store.people["p1"].rows == b""
    handler.lost(None)
    for version in (4, 5):  # late, or from a message that was told again
        done = await run(handler, log.changed("p1", version, first_seen=NOW, orders=[order()]))
        assert (store.rows(), done.dropped) == ({}, {"older_version": 1})


async def test_a_redirect_of_a_person_never_counted_still_outdates_what_came_before(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(handler, log.changed("p1", 5, merged_into="p2"))
    handler.lost(None)
    await run(handler, log.changed("p1", 3, orders=[order()]))
    assert store.rows() == {}


async def test_erasing_a_merged_profile_outdates_everything_of_it(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(handler, log.changed("p1", 5, merged_into="p2"))
    await run(handler, log.record("profile.changes", "p1", None))
    handler.lost(None)
    await run(handler, log.changed("p1", 6, orders=[order()]))
    assert store.rows() == {}


async def test_a_change_of_nothing_that_is_counted_writes_nothing(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    fields: dict[str, Any] = {"first_seen": NOW, "orders": [order()]}
    await run(handler, log.changed("p1", 1, **fields))
    await run(handler, log.changed("p1", 2, traits={"city": "Oslo"}, **fields))
    handler.lost(None)
    await run(handler, log.changed("p1", 3, traits={"city": "Bergen"}, **fields))
    assert store.saved == [{"p1"}, set(), set()]


async def test_contributions_are_read_once_and_again_after_their_partition_was_lost(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    one = await run(handler, log.changed("p1", 1), log.changed("p2", 1))
    await run(handler, log.changed("p1", 2), log.changed("p2", 2))
    assert store.asked == [{"p1", "p2"}]
    handler.lost([one.records[0].source])
    await run(handler, log.changed("p1", 3), log.changed("p2", 3))
    assert store.asked == [{"p1", "p2"}, {"p1"}]


async def test_an_aborted_turn_counts_once_when_it_is_tried_again(store: FakeStore) -> None:
    log = Log()
    records = [log.changed("p1", 1, orders=[order()])]
    handler = ReportingHandler(store)
    await run(ReportingHandler(store.copy()), *records)  # what it wrote is rolled back
    handler.lost(None)
    await run(handler, *records)
    assert store.rows()[REVENUE] == {"orders": 1, "revenue": money("10.00")}


async def test_the_cache_is_bounded(store: FakeStore) -> None:
    handler, log = ReportingHandler(store, cached_people=2), Log()
    await run(handler, *(log.changed(f"p{n}", 1) for n in range(3)))
    await run(handler, *(log.changed(f"p{n}", 2) for n in (1, 2)))
    assert len(store.asked) == 1
    await run(handler, log.changed("p0", 2))
    assert store.asked[-1] == {"p0"}


async def test_events_count_in_the_minute_in_which_they_were_received(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    later = NOW + timedelta(seconds=59)
    await run(handler, log.seen("p1", "Page Viewed", NOW), log.seen("p2", "Page Viewed", later))
    await run(handler, log.seen("p1", "Page Viewed", later + timedelta(seconds=1)))
    assert store.rows("events_by_minute") == {
        ("events_by_minute", "2036-01-31T12:00:00Z", ("Page Viewed",)): {"events": 2},
        ("events_by_minute", "2036-01-31T12:01:00Z", ("Page Viewed",)): {"events": 1},
    }
    assert store.rows()["events_by_day", "2036-01-31", ("Page Viewed",)] == {"events": 3}


async def test_what_a_merge_sends_on_and_identity_changes_are_no_events(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    done = await run(
        handler,
        log.seen("p1", "Page Viewed", NOW, first_origin=b"profile-resolve/events.clicks/0"),
        log.seen("p1", "x", NOW, ce_type=b"regulars.identity.merged.v1"),
    )
    assert store.rows() == {}
    assert done.dropped == {"forwarded": 1, "identity_change": 1}
    assert done.rejected == []


async def test_memberships_and_messages_are_counted(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    entered = SegmentChanged(
        profile_id="p1",
        segment="vip",
        definition_version=1,
        change="entered",
        occurrence=1,
        at=NOW,
        decided_at=NOW,
        profile_version=1,
    )

    def told(state: Any, change_id: str) -> MessageChanged:
        return MessageChanged(
            change_id=change_id,
            message_id="m1",
            profile_id="p1",
            campaign="welcome",
            campaign_version=1,
            state=state,
            at=NOW,
        )

    await run(
        handler,
        log.record("segment.changes", "p1", entered),
        log.record("message.changes", "p1", told("sent", "m1/sent")),
        log.record("message.changes", "p1", told("opened", "m1/opened/1")),
        log.record("message.changes", "p1", told("opened", "m1/opened/2")),
    )
    # The person was merged: the message goes on in another partition.
    await run(
        handler,
        log.record("message.changes", "p2", told("opened", "m1/opened/3")),
        log.record("message.changes", "p2", told("clicked", "m1/clicked")),
    )
    assert store.rows()["segment_sizes", "all", ("vip",)] == {"entered": 1}
    assert store.rows()["message_funnel", "all", ("welcome",)] == {
        "sent": 1,
        "opened": 1,
        "clicked": 1,
    }


@pytest.mark.parametrize("topic", ["profile.changes", "segment.changes", "message.changes"])
@pytest.mark.parametrize(
    "body", [b"", b"\0", b"not json", b'{"profile_id": 1}', b"[" * 100_000, b'{"a":"\xff"}']
)
async def test_what_does_not_fit_is_one_dead_letter_and_the_next_is_unharmed(
    store: FakeStore, handler: ReportingHandler, topic: str, body: bytes
) -> None:
    log = Log()
    bad, good = log.record(topic, "p1", body), log.changed("p2", 1, first_seen=NOW)
    done = await run(handler, bad, good)
    assert [(item.record, item.reason) for item in done.rejected] == [(bad, "invalid")]
    assert store.rows()[CUSTOMERS] == {"new_people": 1}


async def test_orders_that_do_not_fit_leave_the_person_counted_as_before(
    store: FakeStore, handler: ReportingHandler
) -> None:
    log = Log()
    await run(handler, log.changed("p1", 1, first_seen=NOW, orders=[order()]))
    body = b'{"profile_id":"p1","version":2,"profile":{"orders":[{"order_id":"o1"}]}}'
    done = await run(handler, log.record("profile.changes", "p1", body))
    assert [item.reason for item in done.rejected] == ["invalid"]
    assert store.rows()[REVENUE] == {"orders": 1, "revenue": money("10.00")}
    await run(handler, log.changed("p1", 3, first_seen=NOW))
    assert REVENUE not in store.rows()


@pytest.mark.parametrize("key", ["", "p2"])
async def test_a_profile_under_another_key_is_refused(
    store: FakeStore, handler: ReportingHandler, key: str
) -> None:
    log = Log()
    record = log.record("profile.changes", key, b'{"profile_id":"p1","version":1}')
    done = await run(handler, record)
    assert [item.reason for item in done.rejected] == ["wrong_key"]
    assert store.people == {}


async def test_no_personal_data_is_in_the_reason_of_a_dead_letter(
    handler: ReportingHandler,
) -> None:
    body = b'{"profile_id":"p1","version":"ann@example.com"}'
    done = await run(handler, Log().record("profile.changes", "p1", body))
    assert "ann" not in done.rejected[0].detail
