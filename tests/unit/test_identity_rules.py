"""Resolve's identity rules: identifiers of an event, limits, priorities, merges."""

from base64 import b32encode
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest

from schemas.messages import Event, Identifier
from services.profile.resolve.model import (
    Attribution,
    Decision,
    Device,
    Held,
    Link,
    Mark,
    Merge,
    Owner,
    Person,
)
from services.profile.resolve.rules.decisions import decided
from services.profile.resolve.rules.devices import is_shared
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.identifiers import Sender, link_again, link_of
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.interactions import draft
from services.profile.resolve.rules.kinds import is_device
from services.profile.resolve.rules.needs import Known
from services.profile.resolve.rules.spelling import email_address, node_of, phone_number

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


def test_an_id_is_base_32_of_a_digest_so_that_it_never_changes() -> None:
    for message_id in ("m1", "", "\N{SNOWMAN}", *map(str, range(40))):
        digest = blake2b(message_id.encode(), digest_size=12).digest()
        assert profile_id_of(message_id) == f"p_{b32encode(digest).decode()[:20].lower()}"


def user(value: str) -> Identifier:
    return Identifier("user_id", value)


def email(value: str) -> Identifier:
    return Identifier("email", value)


def anonymous(value: str) -> Identifier:
    return Identifier("anonymous_id", value)


def identifiers(**fields: Any) -> list[Identifier] | None:
    link = link_of(event(**fields))
    return None if link is None else link.identifiers


def link(message_id: str, *named: Identifier, minute: int = 0, untrusted: bool = False) -> Link:
    return Link(
        message_id=message_id,
        at=NOON + timedelta(minutes=minute),
        source="web",
        rule="same_event",
        identifiers=list(named),
        blocked=[],
        nodes=[node_of(each) for each in named if not is_device(each.type)],
        devices=[each for each in named if is_device(each.type)],
        untrusted=untrusted,
    )


class World:
    """A graph that lives on between events, as if all were one batch."""

    def __init__(self) -> None:
        self.graph = Graph(Known())
        self.people = self.graph.people
        self.count = 0

    def see(self, *named: Identifier, untrusted: bool = False) -> Attribution:
        self.count += 1
        said = link(f"m{self.count}", *named, minute=self.count, untrusted=untrusted)
        return self.graph.attribute(said)


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

    @pytest.mark.parametrize("text", ["Unknown", "N/A", "NaN", "[object Object]", "false", "nil"])
    def test_that_broken_pages_write_are_nobodys(self, text: str) -> None:
        assert link_of(event(user_id=text)) is None

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
        assert (link.nodes, link.devices, link.rule) == (
            [user("u1"), user("old")], [anonymous("old")], "alias",
        )  # fmt: skip

    def test_of_an_alias_claim_an_account_only_where_a_believed_source_names_two(self) -> None:
        alias = {"type": "alias", "event": None, "anonymous_id": "a1"}
        assert identifiers(**alias, previous_id="u1", user_id="u1") == [
            user("u1"), anonymous("a1"), anonymous("u1"),
        ]  # fmt: skip
        for user_id in (None, "guest"):
            assert identifiers(**alias, previous_id="u2", user_id=user_id) == [
                anonymous("a1"), anonymous("u2"),
            ]  # fmt: skip
        open_ = link_of(event(**alias, previous_id="u2", user_id="u1"), Sender(untrusted=True))
        assert open_ is not None
        assert open_.nodes == [user("u1")]

    def test_of_an_alias_the_account_that_it_claims_is_the_first_to_be_let_go(self) -> None:
        said = event(
            type="alias", event=None, previous_id="u2", user_id="u1",
            context={"traits": {"email": "a@x.io"}},
        )  # fmt: skip
        link = link_of(said)
        assert link is not None
        assert link.identifiers == [user("u1"), email("a@x.io"), user("u2"), anonymous("u2")]
        kept = draft(said, b"{}", link)
        for accepted in (2, 3):  # and read again, whether it was let go or not
            kept.identifiers = link.identifiers[:accepted] + link.devices
            kept.ignored = link.identifiers[accepted:-1]
            assert link_again(kept) == link

    def test_take_the_phone_number_of_a_person_in_one_form(self) -> None:
        traits = {"phone": "030 12345678"}
        said = event(anonymous_id="a1", context={"traits": traits})
        german = link_of(said, Sender(region="DE"))
        nowhere = link_of(said)
        assert german is not None
        assert nowhere is not None
        assert german.identifiers == [Identifier("phone", "+493012345678"), anonymous("a1")]
        assert (nowhere.identifiers, nowhere.blocked) == ([anonymous("a1")], [])

    @pytest.mark.parametrize(
        ("number", "found"),
        [
            (4915112345678, "+4915112345678"),
            (15112345678, "+4915112345678"),
            (3012345678, "+493012345678"),
            *((wrong, None) for wrong in (-15112345678, 7, 0, True, 15112345678.5, 10**40)),
        ],
    )
    def test_take_a_phone_number_that_is_a_json_number(
        self, number: float, found: str | None
    ) -> None:
        said = link_of(
            event(anonymous_id="a1", context={"traits": {"phone": number}}), Sender(region="DE")
        )
        assert said is not None
        assert said.nodes == ([Identifier("phone", found)] if found else [])

    def test_take_external_ids_as_what_they_are(self) -> None:
        named = [
            {"id": "7", "type": "shopify_customer_id", "collection": "users"},
            {"id": 55, "type": "Chatwoot_Contact_Id"},
            {"id": "c9", "type": "loyalty_card", "collection": "users", "encoding": "none"},
            {"id": "x1", "type": "crm.acme", "collection": "users"},
            {"id": "ABC" * 21 + "D", "type": "email", "encoding": "sha256"},
            {"id": "ab" * 32, "type": "hashed_email"},
            {"id": "g1", "type": "group_id"},
            {"id": "any", "type": "intercom_external_id"},
            {"id": "acc", "type": "crm.acme", "collection": "accounts"},
            {"id": "dev", "type": "ios.id"},
            {"id": "o1", "type": "Shopify_Order_Id", "collection": "users"},
            *({"id": 1}, {"type": "x", "id": None}, "x", {"type": "", "id": "1"}),
        ]
        assert identifiers(anonymous_id="a1", source="shop", context={"externalIds": named}) == [
            Identifier("customer_id", "shop/7"),
            Identifier("loyalty_card", "c9"),
            Identifier("contact_id", "shop/55"),
            Identifier("email_sha256", "abc" * 21 + "d"),
            Identifier("email_sha256", "ab" * 32),
            Identifier("crm.acme", "x1"),
            anonymous("a1"),
            Identifier("device_id", "dev"),
            Identifier("order", "shop/o1"),
        ]

    def test_take_the_device_but_not_its_advertising_id(self) -> None:
        device = {"id": "d1", "advertisingId": "ad1"}
        assert identifiers(anonymous_id="a1", context={"device": device}) == [
            anonymous("a1"),
            Identifier("device_id", "d1"),
        ]

    def test_of_a_hashed_address_are_those_of_the_address(self) -> None:
        hashed = "8a1ffd3bc3ca0de4d8e3a8d4c6ee4b7d" + "0" * 32
        said = link_of(event(user_id="u", context={"externalIds": [{"type": "email_sha256",
                                                                   "id": hashed}]}))  # fmt: skip
        assert said is not None
        assert said.nodes == [user("u"), Identifier("email_sha256", hashed)]
        address = email("ann@shop.com")
        assert node_of(address) == node_of(node_of(address)) != address

    def test_are_the_same_when_they_are_read_again(self) -> None:
        said = event(
            user_id="u1",
            anonymous_id="guest",
            context={"traits": {"email": "a@x.io", "phone": "+493012345678"},
                     "device": {"id": "d"}},
        )  # fmt: skip
        link = link_of(said, Sender(untrusted=True))
        assert link is not None
        kept = draft(said, b"{}", link)
        kept.identifiers, kept.ignored = link.identifiers[:1], link.identifiers[1:] + link.blocked
        assert link_again(kept) == link

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


class TestAPhoneNumber:
    @pytest.mark.parametrize(
        ("text", "region", "number"),
        [
            ("+49 (30) 123-45678", None, "+493012345678"),
            ("0049 30 12345678", "DE", "+493012345678"),
            ("4915112345678", "DE", "+4915112345678"),
            ("436641234567", "AT", "+436641234567"),
            ("4921123456", "DE", "+494921123456"),  # an area's number: 49 may be its beginning
            ("4915112345678", None, None),
            ("030 12345678", None, None),
            ("12", "DE", None),
            ("0" * 12, "DE", None),
            ("call me", "DE", None),
            ("+49" * 30, None, None),
        ],
    )
    def test_is_compared_as_e164_has_it(self, text: str, region: str | None, number: str) -> None:
        assert phone_number(text, region) == number


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
            Held("user_id", "u1", NOON + timedelta(minutes=2), "m2", "web"),
        ]
        mark = Mark(NOON + timedelta(minutes=2), "m2", user("u1"))
        assert world.graph.devices == {
            anonymous("a1"): Device(first.profile_id, own=first.profile_id, marks=[mark])
        }

    def test_has_five_addresses_and_the_sixth_stays_a_strangers(self) -> None:
        world = World()
        ann = world.see(user("u1"), email("a1@x.io"))
        for number in range(2, 6):
            world.see(user("u1"), email(f"a{number}@x.io"))
        sixth = world.see(user("u1"), email("a6@x.io"))
        assert sixth == Attribution(ann.profile_id, [user("u1")], [email("a6@x.io")])
        assert world.see(email("a6@x.io")).profile_id != ann.profile_id

    def test_who_is_new_leaves_nothing_to_be_looked_at_again(self) -> None:
        world = World()
        world.see(anonymous("a1"))
        world.see(user("u1"), anonymous("a2"))
        assert (world.graph.unsettled, world.graph.unsettled_devices) == ({}, {})

    def test_may_have_any_number_of_devices(self) -> None:
        world = World()
        whose = {world.see(user("u1"), anonymous(f"a{n}")).profile_id for n in range(30)}
        assert whose == {world.see(anonymous(f"a{n}")).profile_id for n in range(30)}
        assert len(whose) == 1


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
        ann = world.see(user("u1"), email("shared@x.io")).profile_id
        bob = world.see(user("u2")).profile_id
        assert world.see(user("u2"), email("shared@x.io")) == Attribution(
            bob, [user("u2")], [email("shared@x.io")]
        )
        assert world.see(email("shared@x.io")).profile_id == ann
        refusals = [world.people[each].refusals for each in (ann, bob)]
        assert [[one.because for one in each] for each in refusals] == [["limit"], ["limit"]]

    def test_share_a_browser_and_it_is_whose_was_named_last_at_that_time(self) -> None:
        world = World()
        ann = world.see(user("u1"), anonymous("pc")).profile_id
        bob = world.see(user("u2"), anonymous("other")).profile_id
        assert world.see(anonymous("pc")).profile_id == ann
        turn = world.see(user("u2"), anonymous("pc"))
        assert turn == Attribution(bob, [user("u2"), anonymous("pc")], [])
        # Whatever ann did after, somewhere, must be looked at first: the store does it.
        assert set(world.graph.unsettled_devices) == {anonymous("pc")}

    def test_who_are_known_are_not_joined_by_a_browser(self) -> None:
        world = World()
        ann, mail = world.see(user("u1")).profile_id, world.see(email("a@x.io")).profile_id
        whose = world.see(user("u1"), email("a@x.io"), untrusted=True)
        assert (whose.profile_id, whose.ignored) == (ann, [email("a@x.io")])
        assert world.see(user("u1"), email("new@x.io"), untrusted=True).ignored == []
        assert world.see(user("u1"), email("a@x.io")).merges[0].from_ == mail

    def test_let_go_of_one_identifier_after_another_until_it_fits(self) -> None:
        world = World()
        world.see(user("u1"), email("ann@shop.com"), anonymous("a1"))
        world.see(user("u2"), anonymous("a2"))
        whose = world.see(user("u2"), email("ann@shop.com"), anonymous("a3"))
        assert whose.accepted == [user("u2"), anonymous("a3")]
        assert whose.ignored == [email("ann@shop.com")]

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
        assert world.see(Identifier("phone", "+1"), email("ann@shop.com")).profile_id == older

    def test_merge_into_the_smaller_id_where_both_are_as_old(self) -> None:
        one, other = (
            Person(profile_id, [Held("email", value, NOON, "m")], since=NOON)
            for profile_id, value in (("p_b", "b@x.io"), ("p_a", "a@x.io"))
        )
        owners = {node_of(email("b@x.io")): Owner("p_b"), node_of(email("a@x.io")): Owner("p_a")}
        graph = Graph(Known(owners, people={"p_a": other, "p_b": one}))
        assert graph.attribute(link("m9", email("b@x.io"), email("a@x.io"))).profile_id == "p_a"

    def test_tell_by_which_name_one_was_found_though_a_decision_alone_made_it_theirs(self) -> None:
        hers, his, card = email("a@x.io"), email("b@x.io"), Identifier("loyalty_card", "c1")
        ann = Person("p_ann", [Held("email", "a@x.io", NOON, "m")], since=NOON)
        bob = Person("p_bob", [Held("email", "b@x.io", NOON, "m")], decided=True)
        cyd = Person("p_cyd", [Held("user_id", "u1", NOON, "m")])
        owners = {node_of(hers): Owner("p_ann"), user("u1"): Owner("p_cyd")}
        owners |= {node_of(his): Owner("p_bob", contested=True), card: Owner("p_bob", True, True)}
        join = decided([Decision("d1", "join", NOON, (node_of(his),), (card,))])
        people = {each.profile_id: each for each in (ann, bob, cyd)}
        graph = Graph(Known(owners, people=people, decided=join))
        graph.attribute(link("m1", hers, his))
        [merge] = graph.attribute(link("m2", user("u1"), card)).merges
        assert (merge.from_, merge.into, merge.identifier) == (ann.profile_id, "p_cyd", card)

    def test_absorbed_one_after_another_all_lead_to_the_survivor(self) -> None:
        world = World()
        first = world.see(email("a1@x.io")).profile_id
        second = world.see(email("a2@x.io")).profile_id
        third = world.see(user("u1")).profile_id
        world.see(email("a1@x.io"), email("a2@x.io"))
        world.see(user("u1"), email("a2@x.io"))
        assert world.people[third].profile_ids == [third, first, second]
        assert (world.people[first].into, world.people[second].into) == (third, third)
        assert [merge.from_ for merge in world.people[third].merges] == [second, first]
        assert world.graph.survivor(second) == third


class TestADevice:
    @pytest.mark.parametrize(
        ("names", "days", "shared"), [(6, 5, True), (5, 1, False), (6, 7, False), (7, 6, True)]
    )
    def test_that_many_are_named_on_within_a_month_is_nobodys(
        self, names: int, days: int, shared: bool
    ) -> None:
        marks = [
            Mark(NOON + timedelta(days=days * n), f"m{n}", user(f"u{n}")) for n in range(names)
        ]
        assert is_shared(marks) == is_shared(marks[::-1]) == shared


class TestAnOrder:
    ORDER = Identifier("order", "shop/o1")

    def test_says_whose_its_refund_is_though_the_refund_comes_first(self) -> None:
        world = World()
        alone = world.see(self.ORDER).profile_id
        sold = world.see(email("ann@shop.com"), self.ORDER)
        assert (sold.profile_id, world.see(self.ORDER).profile_id) == (alone, alone)
        known = world.see(email("bob@shop.com")).profile_id
        other = Identifier("order", "shop/o2")
        refunded = world.see(other).profile_id
        [merge] = world.see(email("bob@shop.com"), other).merges
        assert (merge.from_, merge.into, merge.identifier) == (refunded, known, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [(user("u1"), user("u2")), (email("ann@shop.com"), email("bob@shop.com"))],
    )
    def test_on_which_the_shop_writes_another_customer_joins_nobody(
        self, one: Identifier, other: Identifier
    ) -> None:
        world = World()
        ann = world.see(one, self.ORDER).profile_id
        refunded = world.see(self.ORDER).profile_id
        bob = world.see(other, self.ORDER)
        assert (refunded, bob.merges) == (ann, ())
        assert bob.profile_id != ann
        assert world.see(one).profile_id == ann

    def test_is_one_of_any_number_and_makes_no_person_larger(self) -> None:
        world = World()
        for number in range(20):
            ann = world.see(user("u1"), Identifier("order", f"shop/{number}")).profile_id
        assert [held.value for held in world.people[ann].identifiers] == ["u1"]
        assert world.see(Identifier("order", "shop/3")).profile_id == ann


class TestABatch:
    def test_stores_who_has_what_at_its_end_whatever_happened_between(self) -> None:
        ann = Person("p_ann", [Held("user_id", "u1", NOON, "m")])
        bob = Person(
            "p_bob",
            [Held("email", "b@x.io", NOON, "m"), Held("phone", "+1", NOON, "m")],
            members=["p_old"],
            devices=1,
        )
        owners = {user("u1"): Owner("p_ann"), node_of(email("b@x.io")): Owner("p_bob")}
        graph = Graph(Known(owners, people={"p_ann": ann, "p_bob": bob}))
        graph.attribute(link("m1", email("b@x.io"), Identifier("phone", "+2")))
        graph.attribute(link("m2", user("u1"), email("b@x.io")))
        changes = graph.changes()
        assert changes.owners == {Identifier("phone", "+2"): Owner("p_ann")}
        assert changes.moved == {
            node_of(email("b@x.io")): Owner("p_ann"),
            Identifier("phone", "+1"): Owner("p_ann"),
        }
        assert (changes.redirected, changes.absorbed) == ({"p_old": "p_ann"}, {"p_bob": "p_ann"})
        assert (changes.created, changes.changed) == ([], [bob, ann])
        assert (ann.members, bob.into) == (["p_bob", "p_old"], "p_ann")
