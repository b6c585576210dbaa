"""Identity as a whole: it is the union-find over what was seen together (I7)."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Identifier
from services.profile.resolve.model import LIMITS, MOST, Attribution, Link, Person
from services.profile.resolve.rules.identity import Graph, linking

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Memory:
    """What the database would hold between batches."""

    def __init__(self) -> None:
        self.owners: dict[Identifier, str] = {}
        self.people: dict[str, Person] = {}

    def run(self, batch: Sequence[Link]) -> list[Attribution]:
        """One turn: load what the batch needs, attribute, store what changed."""
        named = {identifier for link in batch for identifier in link.identifiers}
        owners = {key: self.owners[key] for key in named & self.owners.keys()}
        loaded = {key: deepcopy(self.people[key]) for key in linking(batch, owners)}
        graph = Graph(owners, loaded)
        outcomes = [graph.attribute(link) for link in batch]
        changes = graph.changes()
        assert not changes.owners.keys() & self.owners.keys()
        self.owners |= changes.owners | changes.moved
        for person in (*changes.created, *changes.changed):
            self.people[person.profile_id] = person
        for member, into in changes.redirected.items():
            self.people[member].into = into
        return outcomes

    def groups(self) -> set[frozenset[Identifier]]:
        """The identifiers of each person."""
        return {
            frozenset(held.identifier for held in person.identifiers)
            for person in self.people.values()
            if person.into is None
        }


def union_find(edges: Iterable[Sequence[Identifier]]) -> set[frozenset[Identifier]]:
    """The groups of identifiers that ``edges`` connect."""
    groups: list[set[Identifier]] = []
    for edge in edges:
        joined = set(edge)
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return {frozenset(group) for group in groups}


def links(values: int) -> st.SearchStrategy[list[Link]]:
    """Events that each name one to four identifiers out of few, the most trusted first."""
    some = st.builds(
        Identifier,
        st.sampled_from([limit.type for limit in LIMITS]),
        st.integers(1, values).map(str),
    )
    order = [limit.type for limit in LIMITS]
    named = st.lists(some, min_size=1, max_size=4, unique=True).map(
        lambda found: sorted(found, key=lambda identifier: order.index(identifier.type))
    )
    return st.lists(st.tuples(named, st.integers(0, 50)), max_size=40).map(
        lambda events: [
            Link(f"m{number}", NOON + timedelta(minutes=minute), "web", "same_event", found, [])
            for number, (found, minute) in enumerate(events)
        ]
    )


@given(links(values=8))
def test_identity_is_the_union_find_over_the_accepted_identifiers(events: list[Link]) -> None:
    memory = Memory()
    outcomes = memory.run(events)
    assert memory.groups() == union_find(outcome.accepted for outcome in outcomes)


@given(links(values=8))
def test_identity_is_the_union_find_over_all_identifiers_while_no_limit_is_met(
    events: list[Link],
) -> None:
    apart = [
        link
        for link in events
        if all(identifier.type != "user_id" for identifier in link.identifiers)
    ]
    small = [group for group in union_find(link.identifiers for link in apart) if within(group)]
    free = [link for link in apart if any(set(link.identifiers) <= group for group in small)]
    memory = Memory()
    outcomes = memory.run(free)
    assert memory.groups() == set(small)
    assert all(outcome.ignored == [] for outcome in outcomes)


@given(links(values=4), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter_while_no_limit_is_met(
    events: list[Link], random: object
) -> None:
    found = union_find(link.identifiers for link in events)
    free = [
        link
        for link in events
        if any(set(link.identifiers) <= group and within(group) for group in found)
    ]
    shuffled = list(free)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Memory(), Memory()
    one.run(free)
    other.run(shuffled)
    assert one.groups() == other.groups()


@given(links(values=8))
def test_each_event_is_one_persons_and_follows_its_identifiers(events: list[Link]) -> None:
    memory = Memory()
    outcomes = memory.run(events)
    assert len(outcomes) == len(events)
    for link, outcome in zip(events, outcomes, strict=True):
        person = memory.people[outcome.profile_id]
        survivor = memory.people[person.into] if person.into else person
        assert survivor.into is None
        assert outcome.accepted
        assert outcome.accepted + outcome.ignored == link.identifiers
        assert {memory.owners[identifier] for identifier in outcome.accepted} == {
            survivor.profile_id
        }
        assert outcome.profile_id in survivor.profile_ids


@given(links(values=8))
def test_nobody_exceeds_a_limit_and_nobody_is_lost(events: list[Link]) -> None:
    memory = Memory()
    memory.run(events)
    assert all(within(group) for group in memory.groups())
    survivors = [person for person in memory.people.values() if person.into is None]
    everybody = [profile_id for person in survivors for profile_id in person.profile_ids]
    assert sorted(everybody) == sorted(memory.people)
    for person in survivors:
        assert sorted(merge.from_ for merge in person.merges) == sorted(person.members)
        for held in person.identifiers:
            assert memory.owners[held.identifier] == person.profile_id


@given(links(values=8), st.lists(st.integers(0, 40), max_size=5))
def test_a_batch_split_anywhere_gives_the_same_people(events: list[Link], cuts: list[int]) -> None:
    whole, split = Memory(), Memory()
    at_once = whole.run(events)
    bounds = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    in_parts = [
        outcome for start, end in pairwise(bounds) for outcome in split.run(events[start:end])
    ]
    assert at_once == in_parts
    assert (whole.people, whole.owners) == (split.people, split.owners)


def within(group: Iterable[Identifier]) -> bool:
    """Whether one person may have all of these."""
    kinds = [identifier.type for identifier in group]
    return all(kinds.count(kind) <= most for kind, most in MOST.items())
