"""Shuffle, duplicate, split, replay: the same tables, equal to a plain batch recompute (I6).

The recompute below shares no line with the rules: it looks at the last state of everything,
once, and adds up.
"""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import MessageChanged, Order, OrderLine, Refund, SegmentChanged
from services.reporting.handler import ReportingHandler
from services.runtime.turn import Record
from tests.reporting import NOW, FakeStore, Log, Rows, money, turn
from tests.tried import tried

PEOPLE = [f"p{n}" for n in range(4)]
AMOUNTS = ["0", "0.01", "12.50", "19.99", "100", "0.00125", "123456789012.34"]
DAY = timedelta(days=1)
STATES = ["decided", "skipped", "sent", "opened", "clicked", "bounced"]

days = st.integers(-3, 3).map(lambda n: datetime(2026, 1, 15, 23, 59, tzinfo=UTC) + n * DAY)
amounts = st.sampled_from(AMOUNTS).map(money)
refunds = st.builds(
    Refund,
    message_id=st.just("r"),
    amount=amounts,
    at=days,
    revenue=st.one_of(st.none(), amounts),
)
lines = st.builds(
    OrderLine,
    product_id=st.sampled_from(["a", "b/c"]),
    name=st.sampled_from([None, "Tea", "Green tea"]),
    price=st.one_of(st.none(), amounts),
    quantity=st.integers(0, 5),
)
orders = st.builds(
    Order,
    order_id=st.sampled_from(["o1", "o2", "o3"]),
    currency=st.sampled_from(["USD", "JPY"]),
    ordered_at=days,
    updated_at=days,
    status=st.sampled_from(["completed", "completed", "cancelled"]),
    revenue=amounts,
    refunds=st.lists(refunds, max_size=2),
    cancelled_at=st.one_of(st.none(), days),
    products=st.lists(lines, max_size=3),
)
profiles = st.fixed_dictionaries(
    {"orders": st.lists(orders, max_size=3)},
    optional={"first_seen": days, "traits": st.just({"city": "Oslo"})},
)
states = st.one_of(profiles, profiles, profiles, st.just({"merged_into": "p9"}))
# An erased profile's id is never used again: a tombstone ends a life.
life = st.tuples(st.lists(states, min_size=1, max_size=5), st.sampled_from([[], [], [None]]))
lives = st.dictionaries(st.sampled_from(PEOPLE), life.map(lambda parts: parts[0] + parts[1]))
events = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(["Page Viewed", "Order Completed"]),
        st.integers(0, 60 * 47).map(lambda n: NOW - timedelta(minutes=n, seconds=30)),
    ),
    max_size=20,
)
memberships = st.lists(
    st.tuples(st.sampled_from(["vip", "quiet"]), st.sampled_from(["entered", "exited"]), days),
    max_size=10,
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["m1", "m2"]),
        st.sampled_from(STATES),
        st.integers(0, 2),
        days,
        st.sampled_from(PEOPLE),
    ),
    unique_by=lambda step: step[:3],
    max_size=12,
)


class History:
    """What happened, as records in the order of each partition."""

    def __init__(self, lives: Any, events: Any, memberships: Any, steps: Any) -> None:
        self.log = Log()
        self.last: dict[str, Any] = {}
        self.changes: dict[str, list[Record]] = {}
        self.events, self.memberships, self.steps = events, memberships, steps
        for profile_id, versions in lives.items():
            self.last[profile_id] = versions[-1]
            self.changes[profile_id] = [
                self.log.record("profile.changes", profile_id, None)
                if fields is None
                else self.log.changed(profile_id, version, **fields)
                for version, fields in enumerate(versions, 1)
            ]
        self.once = [
            *(self.log.seen(*event) for event in events),
            *(self._membership(n, *change) for n, change in enumerate(memberships)),
        ]
        self.told = [self._step(*step) for step in steps]

    def delivery(self, shuffle: random.Random) -> list[Record]:
        """Everything, interleaved at will; what may repeat, repeated.

        Kafka keeps the order of one key, and the stage drops what it has already handled;
        profiles and messages stay right even without the latter.
        """
        lanes = [list(records) for records in self.changes.values()]
        for lane in lanes:
            for _ in range(shuffle.randint(0, 2)):  # some of it comes once more
                start = shuffle.randrange(len(lane))
                lane.extend(lane[start : start + shuffle.randint(1, 3)])
        told = self.told + shuffle.sample(self.told, len(self.told) // 2)
        lanes += [[record] for record in self.once + told]
        queue = [number for number, lane in enumerate(lanes) for _ in lane]
        shuffle.shuffle(queue)
        return [lanes[number].pop(0) for number in queue]

    def _membership(self, number: int, segment: str, change: Any, at: datetime) -> Record:
        body = SegmentChanged(
            profile_id=f"p{number}",
            segment=segment,
            definition_version=1,
            change=change,
            occurrence=1,
            at=at,
            decided_at=at,
            profile_version=1,
        )
        return self.log.record("segment.changes", f"p{number}", body)

    def _step(self, message_id: str, state: Any, n: int, at: datetime, key: str) -> Record:
        body = MessageChanged(
            change_id=f"{message_id}/{state}/{n}",
            message_id=message_id,
            profile_id=key,
            campaign="welcome",
            campaign_version=1,
            state=state,
            at=at,
            reason="" if state == "sent" else f"because-{n}",
        )
        return self.log.record("message.changes", key, body)


def recompute(history: History) -> Rows:
    """Every table from the last state of everything, in rational numbers."""
    rows: Any = defaultdict(lambda: defaultdict(Fraction))

    def count(table: str, period: Any, key: tuple[str, ...], name: str, value: Any = 1) -> None:
        at = period if isinstance(period, str) else period.strftime("%Y-%m-%d")
        for row in ((table, at, key), (table, "all", key)):
            rows[row][name] += Fraction(value)

    for fields in history.last.values():
        if fields is None or "orders" not in fields:
            continue
        bought = [o.ordered_at for o in fields["orders"] if o.status == "completed"]
        seen = fields.get("first_seen")
        if seen is None and fields["orders"]:
            seen = sorted(o.ordered_at for o in fields["orders"])[0]
        if seen:
            count("customers", seen, (), "new_people")
            count("customers", seen, (), "with_orders", int(bool(bought)))
        if bought:
            count("customers", sorted(bought)[0], (), "new_customers")
        for o in fields["orders"]:
            count("revenue_by_day", o.ordered_at, (o.currency,), "orders")
            count("revenue_by_day", o.ordered_at, (o.currency,), "revenue", o.revenue)
            refunded = Fraction(0)
            for refund in sorted(o.refunds, key=lambda refund: (refund.at, refund.message_id)):
                before = min(refunded, Fraction(o.revenue))
                refunded += Fraction(refund.amount if refund.revenue is None else refund.revenue)
                extras = Fraction(refund.amount) - (min(refunded, Fraction(o.revenue)) - before)
                count("revenue_by_day", refund.at, (o.currency,), "refunds", refund.amount)
                count("revenue_by_day", refund.at, (o.currency,), "refunded_extras", extras)
            if o.status == "cancelled":
                left = max(Fraction(0), Fraction(o.revenue) - refunded)
                gone = o.cancelled_at or o.updated_at
                count("revenue_by_day", gone, (o.currency,), "cancelled_orders")
                count("revenue_by_day", gone, (o.currency,), "cancellations", left)
                continue
            for line in o.products:
                key = (line.product_id, line.name or "", o.currency)
                count("top_products", o.ordered_at, key, "units", line.quantity)
                paid = Fraction(line.price or 0) * line.quantity
                count("top_products", o.ordered_at, key, "revenue", paid)
    for _, name, received_at in history.events:
        minute = received_at.strftime("%Y-%m-%dT%H:%M:00Z")
        rows["events_by_minute", minute, (name,)]["events"] += 1
        count("events_by_day", received_at, (name,), "events")
    for segment, change, at in history.memberships:
        count("segment_sizes", at, (segment,), change)
    first: dict[tuple[str, str], Any] = {}
    for message_id, state, n, at, _ in history.steps:
        found = (at, f"{message_id}/{state}/{n}", n)
        first[message_id, state] = min(found, first.get((message_id, state), found))
    for (_, state), (at, _, n) in first.items():
        count("message_funnel", at, ("welcome",), state)
        if state in ("skipped", "bounced"):
            count("message_reasons", at, ("welcome", state, f"because-{n}"), "messages")
    settled = {row: {k: v for k, v in cells.items() if v} for row, cells in rows.items()}
    return {row: cells for row, cells in settled.items() if cells}


async def tables(history: History, shuffle: random.Random) -> Rows:
    """The tables after one delivery, with aborted turns and lost partitions in between."""
    store = FakeStore()
    handler = ReportingHandler(store, cached_people=shuffle.choice([1, 2, 100]))
    left = history.delivery(shuffle)
    while left:
        size = shuffle.choice([1, 3, 8, 100])
        batch, left = left[:size], left[size:]
        if shuffle.random() < 0.2:  # the same turn is aborted first
            kept = store.copy()
            await handler.handle(turn(*batch))
            store.__dict__.update(kept.__dict__)
            handler.lost(None)
        done = turn(*batch)
        await handler.handle(done)
        assert done.rejected == []
        if shuffle.random() < 0.2:
            handler.lost([shuffle.choice(list(history.log.sources.values()))])
    return store.rows()


@tried(100)
@given(lives, events, memberships, steps, st.randoms(use_true_random=False))
async def test_however_the_log_is_delivered_the_tables_equal_a_batch_recompute(
    lives: Any, events: Any, memberships: Any, steps: Any, shuffle: random.Random
) -> None:
    history = History(lives, events, memberships, steps)
    assert await tables(history, shuffle) == recompute(history)
