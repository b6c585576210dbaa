"""Whatever fails, crashes, is disabled or moved: everything arrives, each person's in order."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.profile.feed.handler import Look
from services.profile.feed.model import Delivery
from services.runtime.turn import Timer
from tests.handlers.test_feed_handler import SUBSCRIPTION, World, caught
from tests.tried import tried

PEOPLE = "abc"
said = st.tuples(st.just("said"), st.text(PEOPLE, min_size=1, max_size=6))
answered = st.tuples(st.just("answered"), st.sampled_from(["delivered", "failed"]))
switched = st.tuples(st.just("switched"), st.booleans())
moved = st.tuples(st.just("moved"), st.integers(0, 30))
others = st.sampled_from([("read",), ("abort",), ("crash",), ("turn",)])
STORIES = st.lists(said | said | answered | answered | switched | moved | others, max_size=40)


class Story:
    """One subscription and one partition: a topic, a worker that may die, an endpoint."""

    def __init__(self) -> None:
        self.world = World()
        self.subscription = SUBSCRIPTION
        self.log: list[str] = []
        """Whose record lies at each offset."""
        self.handled = 0
        self.timers: dict[str, Timer] = {}
        self.hands: dict[str, Delivery] = {}
        """What the sender has."""
        self.arrived: list[tuple[str, int]] = []
        self.flying = set[str]()
        """What was under way when it was last moved: it arrives when it does."""
        self.before = set[tuple[str, int]]()
        """What of that has arrived since."""
        self.since = 0

    async def turn(self, *bodies: Any) -> None:
        """One turn: what is new on the topic, what came due, and these."""
        world = self.world
        records = [world.said(n, self.log[n]) for n in range(self.handled, len(self.log))]
        timers = [timer for timer in self.timers.values() if timer.due_at <= world.now]
        for timer in timers:
            del self.timers[timer.key]
        turn = await world.turn(records, bodies, timers)
        self.handled = world.source.offset = len(self.log)
        for _, key in turn.timers_cancelled:
            self.timers.pop(key, None)
        self.timers |= {timer.key: timer for timer in turn.timers_set.values()}
        self.hands = {one.id: one for one in world.sender.offered} | self.hands

    async def answer(self, kind: str) -> None:
        """The endpoint answers to the delivery that has been in hand the longest."""
        if not self.hands:
            return
        delivery = self.hands.pop(next(iter(self.hands)))
        if kind == "delivered":
            arrived = (delivery.profile_id, delivery.offset)
            (self.before.add if delivery.id in self.flying else self.arrived.append)(arrived)
        self.flying.discard(delivery.id)
        await self.turn(self.world.outcome(delivery, kind))

    async def read(self) -> None:
        """Lanes that have fallen behind read a little of the topic."""
        for state in self.world.feed.behind():
            if state.source != self.world.source.id:
                continue
            start = state.position if state.position >= 0 else self.since
            piece = [(n, self.log[n]) for n in range(start, min(start + 4, len(self.log)))]
            end = piece[-1][0] + 1 if piece else max(start, self.handled)
            await self.turn(caught(self.world, state, end, *piece))

    async def change(self, **fields: Any) -> None:
        """Somebody changes the subscription, and the worker looks."""
        self.subscription = self.world.ledger.put(self.subscription, **fields)
        await self.turn(Look())

    async def move(self, offset: int) -> None:
        """Have it go on from an offset: the reader finds it by its time."""
        self.since = min(offset, len(self.log))
        self.flying |= set(self.hands)
        self.arrived.clear()
        self.before.clear()
        await self.change(moves=self.subscription.moves + 1)

    async def crash(self) -> None:
        """Another worker takes over; what was in hand may have arrived."""
        self.hands.clear()
        self.flying.clear()
        heir = World()
        heir.ledger, heir.now = self.world.ledger, self.world.now
        heir.feed._ledger = heir.ledger
        heir.source.offset = self.handled
        self.world = heir
        await self.turn(Look())

    async def drain(self) -> None:
        """Everything works again."""
        await self.change(enabled=True)
        for _ in range(3_000):
            behind = [s for s in self.world.feed.behind() if s.source == self.world.source.id]
            if not (self.hands or behind or self.world.ledger.deliveries):
                return
            await self.read()
            await self.answer("delivered")
            if not self.hands:
                self.world.now += timedelta(hours=1)
                await self.turn(Look())
        raise AssertionError("it does not end")


async def play(story: Story, steps: list[Any]) -> None:
    await story.turn(Look())
    for step in steps:
        match step:
            case ("said", people):
                story.log += people
                await story.turn()
            case ("answered", kind):
                await story.answer(kind)
            case ("switched", on):
                await story.change(enabled=on)
            case ("moved", offset):
                await story.move(offset)
            case ("read",):
                await story.read()
            case ("abort",):
                story.world.feed.lost(None)
            case ("crash",):
                await story.crash()
            case ("turn",):
                story.world.now += timedelta(minutes=1)
                await story.turn()
    await story.drain()


@tried(200)
@given(STORIES)
async def test_everything_arrives_and_each_persons_in_order(steps: list[Any]) -> None:
    story = Story()
    await play(story, steps)
    for person in PEOPLE:
        expected = {n for n, who in enumerate(story.log) if who == person and n >= story.since}
        got = [offset for who, offset in story.arrived if who == person]
        assert expected <= {*got, *(offset for who, offset in story.before if who == person)}
        firsts = list(dict.fromkeys(got))
        assert firsts == sorted(firsts)
