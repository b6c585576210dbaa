"""Resolve's identity rules: identifiers of an event, limits, priorities, merges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.messages import Event, Identifier
from services.profile.resolve.model import Attribution, Held, Link, Merge, Person
from services.profile.resolve.rules.identifiers import email_address, link_of
from services.profile.resolve.rules.identity import Graph, linking, profile_id_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(**fields: Any) -> Event:
    return Event(
        **{
            "message_id": "m1",
            "type": "track",
            "event": "Product Viewed",
            "timestamp": NOON,
            "received_at": NOON,
            **fields,
        }
    )


def user(value: str) -> Identifier:
    return Identifier("user_id", value)


def email(value: str) -> Identifier:
    return Identifier("email", value)


def anonymous(value: str) -> Identifier:
    return Identifier("anonymous_id", value)


def identifiers(**fields: Any) -> list[Identifier] | None:
    link = link_of(event(**fields))
    return None if link is None else link.identifiers


class World:
    """A graph that lives on between events, as if all were one batch."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.graph = Graph({}, self.people)
        self.count = 0

    def see(self, *named: Identifier, rule: str = "same_event") -> Attribution:
        self.count += 1
        return self.graph.attribute(
            Link(
                message_id=f"m{self.count}",
                at=NOON + timedelta(minutes=self.count),
                source="web",
                rule=rule,
                identifiers=list(named),
                blocked=[],
            )
        )


class TestTheIdentifiersOfAnEvent:
    def test_come_most_trusted_first(self) -> None:
        assert identifiers(
            anonymous_id="a1", user_id="u1", context={"traits": {"email": "Ann@Shop.com "}}
        ) == [user("u1"), email("ann@shop.com"), anonymous("a1")]

    def test_take_the_email_of_an_identify_call_but_not_of_another(self) -> None:
        traits = {"email": "ann@shop.com"}
        assert identifiers(type="identify", event=None, user_id="u1", traits=traits) == [
            user("u1"),
            email("ann@shop.com"),
        ]
        assert identifiers(type="group", event=None, user_id="u1", traits=traits) == [user("u1")]

    def test_take_the_buyers_email_of_an_order_but_not_a_friends(self) -> None:
        properties = {"email": "ann@shop.com"}
        assert identifiers(event="Order Completed", properties=properties) == [
            email("ann@shop.com")
        ]
        assert identifiers(event="Friend Invited", anonymous_id="a1", properties=properties) == [
            anonymous("a1")
        ]

    def test_name_each_identifier_once(self) -> None:
        assert identifiers(
            type="identify",
            event=None,
            user_id=" u1 ",
            traits={"email": "ann@shop.com"},
            context={"traits": {"email": "ANN@shop.com"}},
        ) == [user("u1"), email("ann@shop.com")]

    @pytest.mark.parametrize(
        "value",
        [
            *("", " ", "0", "000", "-1", "---", "null", "NULL", "anonymous", "void", "test"),
            *("undefined", "guest", "none", "00000000-0000-0000-0000-000000000000", "x" * 513),
        ],
    )
    def test_that_mean_nobody_identify_nobody(self, value: str) -> None:
        assert link_of(event(anonymous_id=value)) is None
        assert identifiers(user_id=value, anonymous_id="a1") == [anonymous("a1")]

    def test_that_mean_nobody_are_kept_as_blocked(self) -> None:
        link = link_of(event(user_id="Guest", anonymous_id="a1"))
        assert link is not None
        assert link.blocked == [user("Guest")]

    @pytest.mark.parametrize("value", ["ann", "ann@", "@shop.com", "a b@shop.com", 7, None, {}])
    def test_do_not_include_what_is_no_address(self, value: object) -> None:
        assert identifiers(anonymous_id="a1", context={"traits": {"email": value}}) == [
            anonymous("a1")
        ]

    def test_survive_traits_of_another_shape(self) -> None:
        assert identifiers(anonymous_id="a1", context={"traits": ["email"]}) == [anonymous("a1")]

    def test_of_an_alias_link_the_previous_id_as_an_anonymous_one(self) -> None:
        link = link_of(event(type="alias", event=None, previous_id="old", user_id="u1"))
        assert link is not None
        assert (link.identifiers, link.rule) == ([user("u1"), anonymous("old")], "alias")

    def test_ignore_a_previous_id_elsewhere(self) -> None:
        assert identifiers(previous_id="old", anonymous_id="a1") == [anonymous("a1")]


class TestAnEmailAddress:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            (" Ann.Lee+x@Shop.COM\n", "ann.lee+x@shop.com"),
            ("buyer@mail.test", "buyer@mail.test"),
            ("JÜRGEN@example.de", "jürgen@example.de"),
            ("ann@shop..com", None),
            ("ann@shop.com, bob@shop.com", None),
            ("", None),
        ],
    )
    def test_is_compared_in_one_spelling(self, text: str, address: str | None) -> None:
        assert email_address(text) == address


class TestAPerson:
    def test_is_made_by_the_first_message_with_an_id_that_depends_on_it_alone(self) -> None:
        whose = World().see(user("u1"), anonymous("a1"))
        assert whose == Attribution(profile_id_of("m1"), [user("u1"), anonymous("a1")], [])
        assert profile_id_of("m1") != profile_id_of("m2")
        assert len(profile_id_of("m1")) == 22
        assert profile_id_of("m1").startswith("p_")

    def test_gains_what_is_seen_beside_what_is_known_and_says_by_which_message(self) -> None:
        world = World()
        first = world.see(anonymous("a1"))
        assert world.see(user("u1"), anonymous("a1")).profile_id == first.profile_id
        assert world.see(user("u1")).profile_id == first.profile_id
        assert world.people[first.profile_id].identifiers == [
            Held("anonymous_id", "a1", NOON + timedelta(minutes=1), "m1", "web"),
            Held("user_id", "u1", NOON + timedelta(minutes=2), "m2", "web"),
        ]

    def test_has_five_devices_and_the_sixth_stays_a_stranger(self) -> None:
        world = World()
        ann = world.see(user("u1"), anonymous("a1"))
        for number in range(2, 6):
            world.see(user("u1"), anonymous(f"a{number}"))
        sixth = world.see(user("u1"), anonymous("a6"))
        assert sixth == Attribution(ann.profile_id, [user("u1")], [anonymous("a6")])
        assert world.see(anonymous("a6")).profile_id != ann.profile_id


class TestTwoPersons:
    def test_who_share_a_message_become_one(self) -> None:
        world = World()
        stranger = world.see(anonymous("a1")).profile_id
        ann = world.see(user("u1")).profile_id
        whose = world.see(user("u1"), anonymous("a1"))
        merge = Merge(
            from_=stranger,
            into=ann,
            at=NOON + timedelta(minutes=3),
            message_id="m3",
            identifier=anonymous("a1"),
            rule="same_event",
        )
        assert whose == Attribution(ann, [user("u1"), anonymous("a1")], [], [merge])
        assert world.people[stranger].into == ann
        assert world.people[ann].profile_ids == [ann, stranger]
        assert world.people[ann].merges == [merge]
        assert world.see(anonymous("a1")).profile_id == ann

    def test_with_a_user_id_each_never_merge_and_the_least_trusted_identifier_yields(
        self,
    ) -> None:
        world = World()
        ann = world.see(user("u1"), anonymous("shared")).profile_id
        bob = world.see(user("u2")).profile_id
        assert world.see(user("u2"), anonymous("shared")) == Attribution(
            bob, [user("u2")], [anonymous("shared")]
        )
        assert world.see(anonymous("shared")).profile_id == ann

    def test_let_go_of_one_identifier_after_another_until_it_fits(self) -> None:
        world = World()
        world.see(user("u1"), email("ann@shop.com"), anonymous("a1"))
        world.see(user("u2"), anonymous("a2"))
        whose = world.see(user("u2"), email("ann@shop.com"), anonymous("a3"))
        assert whose.accepted == [user("u2")]
        assert whose.ignored == [email("ann@shop.com"), anonymous("a3")]

    def test_merge_into_the_one_with_a_user_id_though_the_other_is_older(self) -> None:
        world = World()
        older = world.see(anonymous("a1")).profile_id
        known = world.see(user("u1")).profile_id
        assert world.see(anonymous("a1"), user("u1")).profile_id == known != older

    def test_merge_into_the_older_where_neither_has_a_user_id(self) -> None:
        world = World()
        older = world.see(anonymous("a1")).profile_id
        world.see(email("ann@shop.com"))
        assert world.see(email("ann@shop.com"), anonymous("a1")).profile_id == older

    def test_merge_into_the_smaller_id_where_both_are_as_old(self) -> None:
        one, other = (
            Person(profile_id, [Held("anonymous_id", value, NOON, "m")])
            for profile_id, value in (("p_b", "b"), ("p_a", "a"))
        )
        graph = Graph({anonymous("b"): "p_b", anonymous("a"): "p_a"}, {"p_a": other, "p_b": one})
        link = Link("m9", NOON, "web", "same_event", [anonymous("b"), anonymous("a")], [])
        assert graph.attribute(link).profile_id == "p_a"

    def test_absorbed_one_after_another_all_lead_to_the_survivor(self) -> None:
        world = World()
        first = world.see(anonymous("a1")).profile_id
        second = world.see(anonymous("a2")).profile_id
        third = world.see(user("u1")).profile_id
        world.see(anonymous("a1"), anonymous("a2"))
        world.see(user("u1"), anonymous("a2"))
        assert world.people[third].profile_ids == [third, first, second]
        assert (world.people[first].into, world.people[second].into) == (third, third)
        assert [merge.from_ for merge in world.people[third].merges] == [second, first]
        assert world.graph.survivor(second) == third


class TestABatch:
    def test_stores_who_has_what_at_its_end_whatever_happened_between(self) -> None:
        ann = Person("p_ann", [Held("user_id", "u1", NOON, "m")])
        bob = Person(
            "p_bob",
            [Held("anonymous_id", "a1", NOON, "m"), Held("anonymous_id", "a2", NOON, "m")],
            members=["p_old"],
        )
        graph = Graph({user("u1"): "p_ann", anonymous("a1"): "p_bob"}, {"p_ann": ann, "p_bob": bob})
        fresh = Link("m1", NOON, "web", "same_event", [email("x@y.zz"), anonymous("a1")], [])
        login = Link("m2", NOON, "web", "same_event", [user("u1"), anonymous("a1")], [])
        graph.attribute(fresh)
        graph.attribute(login)
        changes = graph.changes()
        assert changes.owners == {email("x@y.zz"): "p_ann"}
        assert changes.moved == {anonymous("a1"): "p_ann", anonymous("a2"): "p_ann"}
        assert changes.redirected == {"p_old": "p_ann"}
        assert changes.created == []
        assert changes.changed == [bob, ann]
        assert (ann.members, bob.into) == (["p_bob", "p_old"], "p_ann")

    def test_loads_only_persons_whom_it_may_change(self) -> None:
        def link(*named: Identifier) -> Link:
            return Link("m", NOON, "web", "same_event", list(named), [])

        owners = {user("u1"): "p_1", anonymous("a1"): "p_1", anonymous("a2"): "p_2"}
        alone = link(anonymous("a2"))
        agreed = link(user("u1"), anonymous("a1"))
        assert linking([alone, agreed], owners) == set()
        assert linking([link(user("u1"), anonymous("new"))], owners) == {"p_1"}
        assert linking([link(user("u1"), anonymous("a2"))], owners) == {"p_1", "p_2"}
        assert linking([link(user("new"), anonymous("newer"))], owners) == set()
