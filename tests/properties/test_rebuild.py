"""Whatever turns, merges and new traits come: each profile equals the fold over its history."""

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.messages import Interaction
from services.profile.build.changes import Limits
from services.profile.build.kept import decode
from services.profile.build.model import State, encode_state
from services.profile.build.rules.fold import fold
from services.runtime.turn import Record, Source, Timer
from tests.build_world import ORIGIN, World, again
from tests.people import did, identified, ordered
from tests.tried import tried

PEOPLE = ["A", "B", "C", "D"]

said = st.tuples(st.just("says"), st.sampled_from(PEOPLE), st.integers(0, 20))
bought = st.tuples(st.just("buys"), st.sampled_from(PEOPLE), st.integers(0, 20))
merged = st.tuples(st.just("merge"), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
written = st.tuples(
    st.just("writes"),
    st.sampled_from(PEOPLE),
    st.integers(0, 20),
    st.sampled_from(["crm", "shop"]),
    st.sampled_from([["a"], {"$add": ["b"]}, {"$remove": ["a"]}, None]),
)
trusted = st.tuples(st.just("trust"), st.sampled_from([[], ["crm"], ["shop", "crm"]]))
declared = st.tuples(st.just("declare"), st.sampled_from(["Cart Viewed", "Order Completed"]))
turns = st.tuples(st.just("turn"), st.sampled_from(PEOPLE), st.integers(1, 8))
withdrawn = st.tuples(st.just("withdraw"), st.sampled_from(["Cart Viewed", "Order Completed"]))
repaired = st.tuples(st.just("rebuild"))
lost = st.tuples(st.just("lost"))
consented = st.tuples(st.just("consents"), st.sampled_from(PEOPLE), st.integers(0, 20))
revived = st.tuples(st.just("revive"), st.sampled_from(PEOPLE), st.integers(0, 3))
moved = st.tuples(st.just("move"), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
STORIES = st.lists(
    st.one_of(
        said,
        bought,
        consented,
        written,
        merged,
        revived,
        moved,
        declared,
        trusted,
        withdrawn,
        repaired,
        turns,
        turns,
        lost,
    ),
    max_size=50,
)


class Shards(World):
    """A partition for each person, so that each lags behind as it likes."""

    def __init__(self) -> None:
        super().__init__(Limits(swept=2, rebuilt=4))
        self.sources = {
            key: Source(f"profile-build/profile.interactions/{number}", "", number)
            for number, key in enumerate(PEOPLE)
        }

    def source_of(self, key: str) -> Source:
        return self.sources[key]


class Story:
    """Plays a story: resolve writes, build takes its queues in turns, timers fire."""

    def __init__(self) -> None:
        self.world = Shards()
        self.queues: dict[str, list[Record]] = {key: [] for key in PEOPLE}
        self.timers: dict[tuple[str, str], Timer] = {}
        self.into = {profile_id: profile_id for profile_id in PEOPLE}
        self.number = 0

    def says(self, profile_id: str, interaction: Interaction) -> None:
        interaction.profile_id = profile_id
        self.number += 1
        interaction.interaction_id = f"m{self.number}"
        self.queues[profile_id] += self.world.says(interaction)

    def merge(self, one: str, other: str) -> None:
        survivor, absorbed = self.into[one], self.into[other]
        if survivor == absorbed:
            return
        self.queues[absorbed] += self.world.merges(absorbed, into=survivor)
        for profile_id, into in self.into.items():
            if into == absorbed:
                self.into[profile_id] = survivor

    def revive(self, one: str, overtaken: int) -> None:
        if self.into[one] == one:
            return
        self.into[one] = one
        self.put(self.world.revives(one), overtaken)

    def move(self, one: str, other: str) -> None:
        ours, other = self.into[one], self.into[other]
        mine = [said for said in self.world.past.said if self.into[said.profile_id] == ours]
        if mine and other != ours:
            placed = mine[-1].profile_id
            self.world.moves(mine[-1].interaction_id, other)
            told = dict.fromkeys([ours, other, placed])
            self.put(self.world.rearranges(*told), 0)

    def put(self, records: list[Record], overtaken: int) -> None:
        """At the end of the queues, or before what came of another partition of resolve's."""
        for record in records:
            queue = self.queues[record.key.decode()]
            at = len(queue)
            while overtaken and at and queue[at - 1].header("origin") == ORIGIN:
                at, overtaken = at - 1, overtaken - 1
            queue.insert(at, record)

    async def turn(self, key: str, size: int) -> None:
        queue = self.queues[key]
        records, self.queues[key] = queue[:size], queue[size:]
        timers = [timer for timer in self.timers.values() if timer.source.partition % 2 == size % 2]
        turn = await self.world.turn(records, timers)
        self.nobody_lacks_what_its_partition_has()
        for timer in timers:
            del self.timers[timer.source.id, timer.key]
        self.timers |= turn.timers_set
        for _, message in turn.messages:
            if message.topic == "profile.interactions":
                self.queues[message.key].append(again(message, self.world))

    def nobody_lacks_what_its_partition_has(self) -> None:
        stored = self.world.stored
        for bytes_, partition, fingerprint in stored.rows.values():
            progress = stored.sweeps.get(f"profile-build/profile.interactions/{partition}")
            if progress is not None and decode(bytes_).into is None:
                assert progress.has.items() <= stored.compositions[fingerprint].digests.items()

    async def drain(self) -> None:
        await self.turn("A", 1)
        while any(self.queues.values()) or self.timers:
            for key in PEOPLE:
                await self.turn(key, 5)
                await self.turn(key, 2)


async def play(story: Story, steps: list[tuple]) -> None:
    await story.world.build.assigned(list(story.world.sources.values()))
    for step in steps:
        match step:
            case ("says", person, second):
                # resolve may still attribute to an absorbed profile what it read before
                story.says(person, did("Cart Viewed", second))
            case ("consents", person, second):
                said = {"channel": "email", "state": ("granted", "pending", "denied")[second % 3]}
                story.says(person, did("Consent Updated", second // 2, properties=said))
            case ("buys", person, second):
                story.says(person, ordered(second, order_id=f"o{second}", revenue=second))
            case ("writes", person, second, source, value):
                wrote = identified(second, tags=value)
                wrote.source = source
                story.says(person, wrote)
            case ("trust", sources):
                story.world.declared.declare("tags", kind="trait", sources=sources)
            case ("merge", one, other):
                story.merge(one, other)
            case ("declare", event):
                story.world.declared.declare(event.lower(), event=event, window_seconds=9)
            case ("withdraw", event):
                story.world.declared.withdraw(event.lower())
            case ("rebuild",):
                story.world.declared.rebuild()
            case ("revive", person, overtaken):
                story.revive(person, overtaken)
            case ("move", one, other):
                story.move(one, other)
            case ("turn", person, size):
                await story.turn(person, size)
            case ("lost",):
                story.world.build.lost(None)
    await story.drain()


FORWARDED_AFTER_A_FOLD = [
    ("merge", "A", "B"), ("says", "B", 1), ("turn", "B", 1), ("turn", "A", 1),
    ("says", "A", 2), ("turn", "A", 1), ("turn", "B", 1),
]  # fmt: skip
CLOSED_AFTER_ITS_SURVIVOR = [
    ("merge", "A", "B"), ("merge", "C", "A"), ("turn", "A", 1), ("turn", "C", 1),
    ("says", "B", 1), ("turn", "B", 8),
]  # fmt: skip

REVIVED_BEFORE_IT_IS_CLOSED = [
    ("says", "B", 1), ("turn", "B", 1), ("merge", "A", "B"), ("revive", "B", 1),
    ("says", "B", 2), ("turn", "B", 8),
]  # fmt: skip


@tried(300)
@given(STORIES)
@example(FORWARDED_AFTER_A_FOLD)
@example(CLOSED_AFTER_ITS_SURVIVOR)
@example(REVIVED_BEFORE_IT_IS_CLOSED)
async def test_every_survivor_equals_the_fold_over_its_and_its_members_history(steps):
    story = Story()
    await play(story, steps)
    world, traits = story.world, story.world.build.sweep.traits
    for profile_id in {story.into[interaction.profile_id] for interaction in world.past.said}:
        expected = State()
        for interaction in world.past.said:
            if story.into[interaction.profile_id] == profile_id:
                fold(expected, interaction, traits, set())
        assert world.stored.state(profile_id) == encode_state(expected)
    for progress in world.stored.sweeps.values():
        assert (progress.done, progress.has) == (True, traits.composition.digests)
