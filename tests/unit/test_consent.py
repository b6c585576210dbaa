"""What is said of consent, what stands, and what the ledger tells of it."""

from itertools import combinations

import msgspec
import pytest

from schemas.addresses import digest_of
from schemas.messages import Identifier, Interaction
from services.profile.build.kept import Kept
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.confirming import requests_of
from services.profile.build.rules.consent import (
    OPEN,
    Policy,
    grants_of,
    permission,
    readdressed,
    refused_at,
)
from services.profile.build.rules.fold import fold
from services.profile.build.rules.hearing import MOST_ADDRESSES, MOST_PURPOSES
from services.profile.build.rules.view import consent_of
from services.profile.consent import ledger, support
from services.profile.consent.model import Actor, Statement
from services.profile.consent.rules import may_speak, speaks, updated
from tests.people import ANN, at, confirmed, did, identified


def said_of(seconds: float, id: str | None = None, **properties) -> Interaction:
    return did("Consent Updated", seconds, id=id, properties=properties)


def prefers(seconds: float, id: str | None = None, **categories) -> Interaction:
    context = {"consent": {"categoryPreferences": categories}}
    return did("Page Viewed", seconds, id=id, context=context)


def answer(*said: Interaction, channel="email", purpose="marketing", confirm=(), email=ANN):
    state = ledger.state_of([identified(0, id="known", email=email), *said])
    found = permission(state, channel, purpose, Policy.of(confirm))
    return found.allowed, found.state, found.reason


GRANT = {"channel": "email", "state": "granted"}


# -- what is said -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (GRANT, [("email", "granted")]),
        ({"channel": "Email", "purpose": "Newsletter", "granted": True},
         [("email/newsletter", "granted")]),
        ({"category": "analytics", "granted": False}, [("web/analytics", "withdrawn")]),
        ({"category": "newsletter", "granted": True}, [("email", "granted")]),
        ({"channel": "email", "state": "perhaps"}, [("email", "unclear")]),
        ({"channel": "email", "granted": "yes"}, [("email", "unclear")]),
        ({"channel": "email", "state": "granted", "purpose": "a/b"}, [("email", "unclear")]),
        ({"channel": "email", "state": "granted", "purpose": 7}, [("email", "unclear")]),
        ({"purpose": "research", "state": "withdrawn"},
         [(f"{channel}/research", "withdrawn") for channel in ("email", "sms", "push", "webhook")]),
        ({"purpose": "research", "state": "granted"}, []),
        ({"channel": "fax", "state": "granted"}, []),
        ({"state": "granted"}, []),
    ],
)  # fmt: skip
def test_consent_updated_says_words_of_channels_and_purposes(properties, words):
    assert updated(properties) == words


def test_a_category_that_is_no_channel_is_a_purpose_of_the_web():
    said = prefers(1, email=True, analytics=False, C0004=True, **{"": True, "x" * 80: True})
    assert answer(said) == (True, "granted", "consent_granted")
    assert answer(said, channel="web", purpose="analytics") == (False, "denied", "consent_denied")
    assert answer(said, channel="web", purpose="c0004") == (True, "granted", "consent_granted")
    assert sorted(ledger.state_of([said]).consent) == ["email", "web/analytics", "web/c0004"]


@pytest.mark.parametrize(
    ("said", "marked"),
    [
        (did("Unsubscribed", 1), True),
        (said_of(1), True),
        (prefers(1, email=True), True),
        (confirmed(1, at(0)), True),
        (did("Page Viewed", 1, properties={"consent": True}), False),
        (did("Message Clicked", 1, type="message"), False),
    ],
)
def test_interactions_that_speak_of_consent_are_told_by_name_or_content(said, marked):
    assert speaks(said.name, bytes(said.event)) is marked
    if said.type != "message":
        context = msgspec.json.decode(said.event).get("context", {})
        assert may_speak(said.name, context) is marked


# -- what stands --------------------------------------------------------------------------


def test_what_nobody_can_understand_is_no_permission_until_a_clear_word_follows():
    unclear = (said_of(1, **GRANT), said_of(2, channel="email", state="perhaps"))
    assert answer(*unclear) == (False, "unclear", "consent_not_understood")
    assert answer(prefers(1, email="yes")) == (False, "unclear", "consent_not_understood")
    assert answer(*unclear, said_of(3, **GRANT)) == (True, "granted", "consent_granted")


@pytest.mark.parametrize(
    "refusal",
    [
        did("Unsubscribed", 2), did("Email Marked as Spam", 2),
        said_of(2, channel="email", state="denied"),
    ],
)  # fmt: skip
def test_what_a_page_repeats_lifts_no_refusal_that_it_has_not_heard_of(refusal):
    told = (prefers(1, email=True), refusal, prefers(3, email=True))
    word = answer(prefers(1, email=True), refusal)
    assert word[1] in ("withdrawn", "denied")
    assert answer(*told) == answer(*told, confirm=["email"]) == word
    assert answer(*told, said_of(4, **GRANT)) == (True, "granted", "consent_granted")
    assert answer(*told, said_of(4, **GRANT), prefers(5, email=True))[0]
    chosen = {"context": {"consent": {"categoryPreferences": {"email": True}}}}
    assert answer(*told, did("Segment Consent Preference Updated", 4, **chosen))[0]


def test_a_page_may_be_told_otherwise_again_and_again():
    on, off = {"email": True, "analytics": True}, {"email": False, "analytics": False}
    told = (prefers(1, **on), prefers(2, **off), prefers(3, **on))
    assert answer(*told) == (True, "granted", "consent_granted")
    no = said_of(2, channel="web", purpose="analytics", state="withdrawn")
    assert answer(no, *told, channel="web", purpose="analytics")[0]


def test_two_words_at_one_instant_permit_nothing_and_say_that_they_conflict():
    said = (said_of(5, id="a", **GRANT), said_of(5, id="b", channel="email", state="denied"))
    for order in (said, said[::-1]):
        assert answer(*order) == (False, "denied", "consent_conflicting")
    unclear = (said_of(5, id="a", channel="email", state="perhaps"), said_of(5, id="b", **GRANT))
    for order in (unclear, unclear[::-1]):
        assert answer(*order) == (False, "unclear", "consent_not_understood")
    later = said_of(6, **GRANT)
    for order in ((*said, later), (later, *said)):
        assert answer(*order) == (True, "granted", "consent_granted")


def test_of_any_two_words_at_one_instant_the_more_restrictive_holds():
    words = ["granted", "pending", "perhaps", "denied", "withdrawn"]
    for mild, strict in combinations(words, 2):
        for ids in ("ab", "ba"):
            said = [
                said_of(5, id=id, channel="email", state=word)
                for id, word in zip(ids, (mild, strict), strict=True)
            ]
            for order in (said, said[::-1]):
                assert answer(*order)[1] == strict.replace("perhaps", "unclear")


def test_another_address_is_told_of_what_it_leaves_unconfirmed_and_of_nothing_else():
    news = {"channel": "email", "purpose": "newsletter", "state": "denied"}
    known = [FIRST, said_of(1, channel="sms", state="granted"), said_of(1, **news)]
    policy = Policy.of(["email", "sms"])
    before, now = (ledger.state_of(known) for _ in range(2))
    for state, address in ((before, ANN), (now, BOB)):
        fold(state, identified(2, email=address), Traits({}), set())
    assert readdressed(before, now, policy) == {"consent.email"}
    assert readdressed(before, before, policy) == set()
    assert readdressed(before, now, Policy()) == set()


def test_each_purpose_has_its_own_consent_and_falls_with_a_later_withdrawal_of_marketing():
    news = said_of(1, channel="email", purpose="newsletter", state="granted")
    assert answer(news) == (False, "none", "no_consent_recorded")
    assert answer(news, purpose="newsletter") == (True, "granted", "consent_granted")
    left = (news, did("Unsubscribed", 2))
    assert answer(*left, purpose="newsletter") == (False, "withdrawn", "marketing_withdrawn")
    together = (news, did("Unsubscribed", 1))
    assert answer(*together, purpose="newsletter") == (False, "withdrawn", "marketing_withdrawn")
    again = said_of(3, channel="email", purpose="newsletter", state="granted")
    assert answer(*left, again, purpose="newsletter") == (True, "granted", "consent_granted")
    twice = (did("Unsubscribed", 0), news, did("Unsubscribed", 2))
    assert answer(*twice, purpose="newsletter") == (False, "withdrawn", "marketing_withdrawn")
    declined = (news, said_of(2, channel="email", state="denied"))
    assert answer(*declined, purpose="newsletter") == (True, "granted", "consent_granted")


def test_a_person_has_at_most_so_many_purposes_whatever_the_order():
    many = [prefers(n, **{f"p{n:02}": True}) for n in range(MOST_PURPOSES + 5)]
    states = [ledger.state_of(order) for order in (many, many[::-1])]
    assert states[0].consent == states[1].consent
    assert sorted(states[0].consent) == [f"web/p{n:02}" for n in range(MOST_PURPOSES)]


def test_readers_that_know_three_words_see_what_is_no_permission_as_denied():
    state = ledger.state_of([said_of(1, channel="email", state="perhaps"), said_of(1, channel="sms",
        state="granted", actor="Bea"), confirmed(1, at(0), "research")])  # fmt: skip
    shown = {
        key: (said.state, said.reason, said.by) for key, said in consent_of(state, OPEN).items()
    }
    assert shown == {
        "email": ("denied", "consent_not_understood", ""),
        "sms": ("granted", "", "agent"),
    }


def test_of_what_a_site_may_do_each_purpose_falls_by_its_own_word_alone():
    said = (prefers(1, analytics=True), said_of(2, channel="web", state="withdrawn"))
    assert answer(*said, channel="web", purpose="analytics") == (True, "granted", "consent_granted")


# -- double opt-in ------------------------------------------------------------------------

FIRST = did("Consent Updated", 1, properties=GRANT)
PENDING = (False, "pending", "consent_pending")
CONFIRMED = (True, "granted", "consent_confirmed")


def test_a_grant_that_must_be_confirmed_permits_nothing_until_it_is():
    assert answer(FIRST) == (True, "granted", "consent_granted")
    assert answer(FIRST, confirm=["email@shop"]) == PENDING
    assert answer(FIRST, confirm=["email@till", "sms"])[0]
    said = (FIRST, confirmed(9, at(1)))
    for order in (said, said[::-1]):
        assert answer(*order, confirm=["*@shop"]) == CONFIRMED
    assert answer(*said, said_of(12, **GRANT), confirm=["*@shop"]) == CONFIRMED


def test_a_sender_may_itself_say_that_a_grant_is_pending():
    asked = said_of(1, channel="email", state="pending")
    assert answer(asked) == PENDING
    assert answer(asked, confirmed(2, at(1))) == CONFIRMED
    assert answer(said_of(0, **GRANT), asked) == PENDING


def test_an_old_link_confirms_nothing_that_was_refused_since():
    said = (FIRST, did("Unsubscribed", 3), confirmed(4, at(1)))
    assert answer(*said, confirm=["email"]) == (False, "withdrawn", "consent_withdrawn")
    again = (*said, said_of(5, **GRANT))
    assert answer(*again, confirm=["email"]) == PENDING
    assert answer(*again, confirmed(6, at(5)), confirm=["email"]) == CONFIRMED


def test_of_a_grant_and_one_to_be_confirmed_at_one_instant_the_latter_holds():
    said = (said_of(1, "a", **GRANT), said_of(1, "b", channel="email", state="pending"))
    for order in (said, said[::-1]):
        assert answer(*order) == PENDING


def test_what_was_refused_at_the_very_instant_of_the_grant_is_not_confirmed_by_its_link():
    said = (FIRST, did("Unsubscribed", 1), said_of(5, **GRANT), confirmed(9, at(1)))
    assert answer(*said, confirm=["email"]) == PENDING


def test_a_grant_over_a_source_that_needs_no_confirmation_holds_beside_one_that_does():
    till = said_of(1, **GRANT)
    till.source = "till"
    said = (till, said_of(5, **GRANT))
    assert answer(*said, confirm=["email@shop"]) == (True, "granted", "consent_granted")
    assert answer(*said, did("Unsubscribed", 3), confirm=["email@shop"]) == PENDING


def test_what_was_refused_at_the_very_instant_of_such_a_grant_voids_it():
    till = said_of(3, **GRANT)
    till.source = "till"
    said = (till, did("Unsubscribed", 3), said_of(5, **GRANT))
    assert answer(*said, confirm=["email@shop"]) == PENDING


@pytest.mark.parametrize(("own", "all_of_it"), [(1, 3), (3, 1)])
def test_a_grant_of_a_purpose_is_void_by_the_later_of_its_refusal_and_marketings(own, all_of_it):
    news = {"channel": "email", "purpose": "newsletter"}
    till = said_of(2, state="granted", **news)
    till.source = "till"
    left = (said_of(own, state="denied", **news), did("Unsubscribed", all_of_it))
    said = (till, *left, said_of(9, state="granted", **news))
    asked = ["email/newsletter@shop"]
    assert answer(*said, purpose="newsletter", confirm=asked) == PENDING
    assert refused_at(ledger.state_of(said), "email/newsletter") == at(3)


def test_a_purpose_of_which_nothing_was_said_was_refused_when_marketing_was():
    state = ledger.state_of([did("Unsubscribed", 3)])
    assert refused_at(state, "email/newsletter") == at(3)
    assert refused_at(state, "sms") is None


def test_another_policy_may_judge_what_was_granted_or_is_pending_and_nothing_else():
    words = {"email": "granted", "sms": "pending", "push": "denied", "webhook": "withdrawn"}
    said = [said_of(1, channel=channel, state=state) for channel, state in words.items()]
    assert grants_of(ledger.state_of(said)) == {"consent.email", "consent.sms"}


def test_a_confirmation_is_of_one_purpose():
    assert answer(FIRST, confirmed(2, at(1), "newsletter"), confirm=["email"]) == PENDING


BOB = "bob@example.com"


def test_a_confirmation_holds_for_the_address_that_it_was_sent_to_and_no_other():
    said = (FIRST, confirmed(2, at(1)))
    assert answer(*said, confirm=["email"]) == CONFIRMED
    assert answer(*said, confirm=["email"], email="ANN@example.com") == CONFIRMED
    moved = (*said, identified(3, email=BOB))
    assert answer(*moved, confirm=["email"]) == PENDING
    assert answer(*moved, confirmed(4, at(1), address=BOB), confirm=["email"]) == CONFIRMED
    back = (*moved, confirmed(4, at(1), address=BOB), identified(5, email=ANN))
    for order in (back, back[::-1]):
        assert answer(*order, confirm=["email"]) == CONFIRMED


@pytest.mark.parametrize("email", [None, "", "nobody", 7, {"$add": [ANN]}])
def test_without_an_address_nothing_is_confirmed(email):
    said = (FIRST, confirmed(2, at(1)), confirmed(3, at(1), address=""))
    assert answer(*said, confirm=["email"], email=email) == PENDING


def test_a_confirmation_that_does_not_say_of_which_address_confirms_none():
    assert answer(FIRST, confirmed(2, at(1), address=""), confirm=["email"]) == PENDING


def test_of_an_address_that_no_trait_names_the_identifier_counts():
    known = did("Cart Viewed", 3, identifiers=(("email", BOB), ("email", ANN)))
    said = (FIRST, known, confirmed(2, at(1)))
    assert answer(*said, confirm=["email"], email=None) == CONFIRMED
    assert answer(*said, confirm=["email"], email=BOB) == PENDING


def test_of_many_confirmed_addresses_the_latest_are_kept_in_any_order():
    many = [confirmed(2 + n, at(1), address=f"a{n}@x.io") for n in range(MOST_ADDRESSES + 2)]
    for order in (many, many[::-1]):
        kept = [answer(FIRST, *order, confirm=["email"], email=f"a{n}@x.io") for n in range(7)]
        assert kept == [PENDING, PENDING, *[CONFIRMED] * MOST_ADDRESSES]


def requests(*said: Interaction) -> list[tuple[str, str, bool, bool]]:
    """(statement, channel, explicit, whether the address came later) of what is asked."""
    kept = Kept()
    for one in said:
        fold(kept.state, one, Traits({}), set())
    names = {f"consent.{key}" for key in kept.state.consent} | {"counters.x", "traits.email"}
    asked = requests_of("p1", kept, names, (Policy.of(["email", "web/*"]), said))
    return [(o.statement_id, o.channel, o.explicit, o.asked_at is not None) for o in asked]


def test_who_is_asked_to_confirm_has_an_address_and_a_grant_of_their_own():
    address = identified(0, email=ANN)
    update, preference = said_of(1, id="s", **GRANT), prefers(1, id="s", email=True)
    assert requests(address, update) == [("s", "email", True, False)]
    assert requests(address, preference) == [("s", "email", False, False)]
    other = said_of(0.5, id="o", channel="sms", state="granted")
    assert requests(address, other, preference) == [("s", "email", False, False)]
    assert requests(update, identified(2, email=ANN)) == [("s", "email", True, True)]
    named = did("Cart Viewed", 2, identifiers=(("email", ANN),))
    assert requests(update, named) == [("s", "email", True, False)]
    assert requests(update, named, identified(3, email=None)) == [("s", "email", True, False)]
    assert requests(update) == requests(address, prefers(1, analytics=True)) == []
    assert requests(address, update, said_of(2, channel="email", state="denied")) == []
    update.history = True
    assert requests(address, update) == []


# -- the ledger ---------------------------------------------------------------------------


def test_a_statement_tells_who_when_which_text_and_with_what_proof():
    said = did(
        "Consent Updated", 7, id="m7",
        properties={**GRANT, "purpose": "newsletter", "text_version": "2026-02",
                    "proof": {"form": "footer", "screenshot": 17}},
        context={"ip": "192.0.2.1", "page": {"url": "https://shop.example/news"}},
    )  # fmt: skip
    said.received_at = at(90)
    assert ledger.statements_of(said) == [
        Statement(
            statement_id="m7", channel="email", purpose="newsletter", state="granted", at=at(7),
            recorded_at=at(90), by=Actor("person"), source="shop", event="Consent Updated",
            text_version="2026-02", ip="192.0.2.1", page="https://shop.example/news",
            proof={"form": "footer", "screenshot": 17},
        )
    ]  # fmt: skip


def test_it_tells_people_agents_imports_and_providers_apart():
    old = did("Page Viewed", 1, history=True,
              context={"consent": {"categoryPreferences": {"email": True}}})  # fmt: skip
    by = [
        ledger.statements_of(said)[0].by
        for said in (
            FIRST, old, did("Unsubscribed", 2), said_of(3, **GRANT, actor="Bea"),
            said_of(4, **GRANT, actor={"kind": "agent", "name": "Bea"}),
            said_of(5, **GRANT, actor={"kind": "root"}), confirmed(6, at(1)),
        )
    ]  # fmt: skip
    assert by == [
        Actor("person"), Actor("import"), Actor("provider"), Actor("agent", "Bea"),
        Actor("agent", "Bea"), Actor("person"), Actor("person"),
    ]  # fmt: skip


def test_a_confirmation_and_an_unsubscribe_by_our_own_mail_bear_its_id_as_proof():
    (told,) = ledger.statements_of(confirmed(9, at(1)))
    assert (told.state, told.ip) == ("confirmed", "192.0.2.7")
    assert told.proof == {
        "message_id": "m1", "statement_id": "s1", "email_sha256": digest_of(ANN),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Unsubscribed", "Consent Updated"])
@pytest.mark.parametrize(
    "event",
    [
        b'{"context": 3, "properties": {"channel": "email", "state": "withdrawn"}}',
        b'{"context": {"consent": {"categoryPreferences": "all"}, "page": [], "ip": 7},'
        b' "properties": {"channel": "email", "state": "withdrawn"}}',
        b'{"context": {"traits": 3}, "properties": {"channel": "email", "state": "withdrawn"}}',
    ],
)
def test_an_odd_shape_around_it_does_not_undo_a_withdrawal(name, event):
    said = did(name, 2)
    said.event = msgspec.Raw(event)
    assert {told.state for told in ledger.statements_of(said)} == {"withdrawn"}
    assert answer(said_of(1, **GRANT), said) == (False, "withdrawn", "consent_withdrawn")


# -- what support writes down -------------------------------------------------------------


def test_a_person_is_named_by_the_most_trusted_identifier_that_they_have():
    email = [Identifier("email", "b@x.io"), Identifier("email", "a@x.io")]
    others = [Identifier("anonymous_id", "phone"), *email]
    assert support.named([*others, Identifier("user_id", "u1")], "") == {"user_id": "u1"}
    assert support.named(others, "b@x.io") == {"context": {"traits": {"email": "b@x.io"}}}
    assert support.named(others, "") == {"context": {"traits": {"email": "a@x.io"}}}
    assert support.named(others[:1], "") == {"anonymous_id": "phone"}
    assert support.named([], "") is None


def test_state_stays_plain_without_any_word():
    assert permission(State(), "email").reason == "no_consent_recorded"
    assert permission(None, "email").reason == "unknown_profile"
