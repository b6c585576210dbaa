"""What build tells of consent that nobody spoke of: another word has decided it."""

import json

from services.profile.build.inbox import CHANGED
from services.profile.build.rules.hearing import MOST_PURPOSES
from tests.build_world import World, journal
from tests.people import ANN, at, confirmed, did


def word(seconds: float, state: str, **said: str):
    return did("Consent Updated", seconds, properties={"channel": "email", "state": state, **said})


async def test_a_withdrawal_of_marketing_tells_of_every_purpose_that_it_takes_back():
    world = World()
    await world.turn(world.says(word(1, "granted", purpose="news"), word(2, "denied", purpose="x")))
    (change,) = journal(await world.turn(world.says(did("Unsubscribed", 3))))
    assert change["changed"] == [
        "consent.email", "consent.email/news", "consent.email/x",
        "counters.Unsubscribed", "last_seen",
    ]  # fmt: skip
    assert {key: held["state"] for key, held in change["profile"]["consent"].items()} == {
        "email": "withdrawn", "email/news": "withdrawn", "email/x": "withdrawn",
    }  # fmt: skip
    before = change["before"]
    assert [before[f"consent.email{key}"] and before[f"consent.email{key}"]["state"]
            for key in ("", "/news", "/x")] == [None, "granted", "denied"]  # fmt: skip

    (change,) = journal(await world.turn(world.says(word(4, "granted", purpose="news"))))
    assert "consent.email/x" not in change["changed"]
    late = await world.turn(world.says(did("Unsubscribed", 3.5, id="late")))
    (change,) = journal(late)
    assert change["changed"] == ["consent.email", "consent.email/x", "counters.Unsubscribed"]


async def test_a_purpose_that_makes_room_for_another_is_told_of():
    world = World()
    many = [word(number, "granted", purpose=f"p{number:02}") for number in range(MOST_PURPOSES)]
    await world.turn(world.says(*many))
    (change,) = journal(await world.turn(world.says(word(99, "granted", purpose="first"))))
    last = f"consent.email/p{MOST_PURPOSES - 1}"
    assert change["changed"][:2] == ["consent.email/first", last]
    assert (change["before"][last]["state"], len(change["profile"]["consent"])) == ("granted", 20)

    (change,) = journal(await world.turn(world.says(word(99, "denied", purpose="later"))))
    assert change["changed"][0] == "consent.email/later"
    (change,) = journal(await world.turn(world.says(word(99, "denied", purpose="zz"))))
    assert change["changed"] == ["counters.Consent Updated"]


async def test_another_address_tells_of_what_it_leaves_unconfirmed_whatever_names_it():
    world = World()
    named = did("Cart Viewed", 0, identifiers=(("email", ANN),))
    await world.turn(world.says(named, word(1, "pending"), confirmed(2, at(1))))

    def names(seconds: float, email: str | None, **event):
        identifiers = (("email", email or ANN),)
        traits = {"email": email} if event else None
        return did("Moved", seconds, identifiers=identifiers, **event, traits=traits)

    moves = [
        names(3, "a@example.com"),  # an identifier alone, and the first by name
        names(4, ANN, type="identify"),  # a trait alone: who is written to is Ann again
        names(5, "a@example.com", type="identify"),
        names(6, None, type="identify"),  # unset: the first identifier
    ]
    told = []
    for move in moves:
        turn = await world.turn(world.says(move))
        (change,) = [json.loads(one.value) for _, one in turn.messages if one.type == CHANGED]
        held = change["profile"]["consent"]["email"]
        told.append(("consent.email" in change["changed"], held["state"]))
    assert told == [(True, "denied"), (True, "granted"), (True, "denied"), (False, "denied")]
