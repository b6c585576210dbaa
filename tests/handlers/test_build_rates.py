"""One turn of build when exchange rates have changed: who is valued anew, and what is said."""

from typing import Any

from services.profile.build.handler import Build
from services.profile.build.kept import decode
from services.profile.build.renewal import REBUILD
from services.runtime.turn import Timer, Turn
from tests.build_world import World, journal
from tests.people import did, ordered


def revenue_base(turn: Turn) -> list[Any]:
    return [
        (change["version"], change["changed"], change["profile"].get("revenue_base"),
         change["profile"].get("revenue_base_missing"))
        for change in journal(turn)
    ]  # fmt: skip


async def test_a_new_rate_values_orders_anew_without_their_history_and_tells_of_what_differs():
    world = World(base="EUR")
    await world.build.assigned([world.source])
    await world.turn(world.says(ordered(1, revenue="12.00", currency="USD", order_id="o1")))
    turn = await world.turn(world.says(did("Page Viewed", 2)))
    assert [one[2:] for one in revenue_base(turn)] == [(None, ["USD"])]

    world.past.said.clear()  # nothing is read back
    world.declared.rate("2026-02", d27={"USD": "1.2000"})
    turn = await world.fire(await world.turn())
    euros = {"amount": "10.00", "currency": "EUR"}
    assert revenue_base(turn) == [(3, ["revenue_base"], euros, None)]
    assert journal(turn)[0]["cause"]["name"] == "Exchange Rates Changed"
    assert journal(turn)[0]["before"] == {"revenue_base": None}

    world.declared.rate("2026-02", d27={"USD": "1.5000"})
    turn = await world.fire(await world.turn())
    assert revenue_base(turn)[0][2] == {"amount": "8.00", "currency": "EUR"}
    assert journal(turn)[0]["before"] == {"revenue_base": euros}

    world.declared.rate("2026-03", d02={"USD": "1.5"})  # after the order's day
    turn = await world.fire(await world.turn())
    assert (journal(turn), len(turn.timers_set)) == ([], 1)
    turn = await world.fire(turn)
    assert (journal(turn), turn.timers_set) == ([], {})


async def test_orders_in_the_base_currency_wait_for_no_rates():
    world = World(base="USD")
    await world.build.assigned([world.source])
    turn = await world.turn(world.says(ordered(1, revenue="12.00", currency="USD")))
    dollars = {"amount": "12.00", "currency": "USD"}
    assert [one[2:] for one in revenue_base(turn)] == [(dollars, None)]
    await world.fire(turn)
    world.declared.rate("2026-02", d27={"USD": "1.2000"})
    turn = await world.fire(await world.turn())
    assert (journal(turn), turn.timers_set) == ([], {})


async def test_a_base_currency_that_is_set_later_values_the_orders_there_are():
    before = World()
    await before.turn(before.says(ordered(1, revenue="12.00", currency="USD")))
    world = World(base="USD")
    world.stored, world.build = before.stored, Build(before.stored, world.past, world.declared,
                                                     base_currency="USD")  # fmt: skip
    await world.build.assigned([world.source])
    turn = await world.fire(await world.turn())
    dollars = {"amount": "12.00", "currency": "USD"}
    assert revenue_base(turn) == [(2, ["revenue_base"], dollars, None)]
    turn = await world.fire(turn)
    assert (journal(turn), turn.timers_set) == ([], {})


async def test_a_rebuild_that_changes_nothing_keeps_the_worth_and_says_nothing():
    world = World(base="EUR")
    world.declared.rate("2026-02", d27={"USD": "1.2000"})
    await world.turn(world.says(ordered(1, revenue="12.00", currency="USD")))
    before = decode(world.stored.rows["p1"][0])
    turn = await world.turn(timers=[Timer(world.source, REBUILD + "p1", world.now, b"")])
    after = decode(world.stored.rows["p1"][0])
    assert (journal(turn), after.worth) == ([], before.worth)
    assert after.worth is not None
