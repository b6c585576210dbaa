"""How much of what a profile was a change tells: as docs/feed.md bounds it."""

from typing import Any

from services.profile.build.rules import windows
from services.runtime.turn import Turn
from tests.build_world import World, journal
from tests.people import did, identified, ordered


def before(turn: Turn) -> dict[str, Any]:
    (change,) = journal(turn)
    assert change.get("before", {}).keys() <= set(change["changed"])
    return change.get("before", {})


def view(seconds: float):
    return did("Product Viewed", seconds, properties={"sku": f"s{seconds}"})


async def declared(**definition: Any) -> World:
    world = World()
    world.declared.declare("t", event="Product Viewed", **definition)
    return world


async def test_orders_are_told_of_up_to_forty():
    world = World()
    orders = [ordered(number, order_id=f"o{number}", revenue=1) for number in range(42)]
    await world.turn(world.says(*orders[:40]))
    assert len(before(await world.turn(world.says(orders[40])))["orders"]) == 40
    assert "orders" not in before(await world.turn(world.says(orders[41])))


def looked(seconds: float, brand: str, **agent: Any):
    return did("Product Viewed", seconds, properties={"brand": brand}, context=agent)


async def test_favourites_and_devices_are_told_of_as_the_version_before_had_them():
    world = World()
    phone, tablet = ({"device": {"type": "ios", "model": name}} for name in ("iPhone", "iPad"))
    await world.turn(world.says(looked(1, "b", **phone)))
    told = before(await world.turn(world.says(looked(2, "c", **tablet), looked(3, "c"))))
    assert (told["favourite_brand"], [one["model"] for one in told["devices"]]) == (
        "b", ["iPhone"],
    )  # fmt: skip
    bought = [{"product_id": "p", "price": 1, "quantity": 1, "brand": "d"}]
    told = before(await world.turn(world.says(ordered(4, order_id="o", products=bought))))
    assert told["orders"] is None
    views = [looked(second, "e") for second in (5, 6, 7)]
    told = before(await world.turn(world.says(*views)))
    assert told["favourite_brand"] == "d"  # bought, which says more
    many = [ordered(number, order_id=f"o{number}", products=[]) for number in range(8, 49)]
    await world.turn(world.says(*many))
    views = [looked(second, "f") for second in range(50, 54)]
    told = before(await world.turn(world.says(ordered(60, order_id="x", products=[]), *views)))
    assert not told.keys() & {"orders", "favourite_brand"}
    assert (
        before(await world.turn(world.says(*(looked(s, "g") for s in range(61, 66)))))[
            "favourite_brand"
        ]
        == "d"
    )


async def test_the_hour_of_before_is_their_own_where_a_time_zone_was_told_and_of_utc_where_none():
    world, india = World(), {"timezone": "Asia/Kolkata"}
    await world.turn(world.says(did("Page Viewed")))
    first = did("Page Viewed", 1, context=india)
    assert before(await world.turn(world.says(first)))["preferred_hour"] == 12
    later = [did("Page Viewed", 3 * 3600 + second, context=india) for second in range(2)]
    assert before(await world.turn(world.says(*later)))["preferred_hour"] == 17


async def test_computed_traits_are_told_of_up_to_a_hundred_entries():
    for definition, entries in (
        ({"window_seconds": 999}, "times"),
        ({"aggregate": "unique_list", "property": "sku"}, "items"),
    ):
        world = await declared(**definition)
        views = [view(number) for number in range(102)]
        await world.turn(world.says(*views[:100]))
        told = before(await world.turn(world.says(views[100])))
        assert len(told["computed.t"][entries]) == 100
        assert "computed.t" not in before(await world.turn(world.says(views[101])))
    world = await declared(aggregate="most_frequent", property="sku")
    await world.turn(world.says(*views[:101]))
    told = before(await world.turn(world.says(view(0.5), views[101], view(0.5))))
    assert told["computed.t"] == {"value": "s0", "count": 1}


async def test_old_values_are_told_of_up_to_16000_bytes_in_the_order_of_their_names():
    world = World()
    long = {"a": "x" * 7_998, "b": "y" * 7_998, "c": "z"}
    wishes = [
        did(
            "Product Added to Wishlist", at, properties={"product_id": f"p{at}", "wishlist_id": "w"}
        )
        for at in (1, 2)
    ]
    await world.turn(world.says(identified(1, **long), wishes[0]))
    told = before(await world.turn(world.says(identified(2, a=1, b=2, c=3), wishes[1])))
    assert (told["traits.a"], told["traits.b"]) == (long["a"], long["b"])
    assert not told.keys() & {"traits.c", "wishlists"}


async def test_of_many_names_200_are_told_of():
    world = World()
    await world.turn(world.says(did("Page Viewed")))
    many = [did(f"Custom {number}", number) for number in range(210)]
    assert len(before(await world.turn(world.says(*many)))) == 200


async def test_a_computed_trait_that_meant_something_else_is_not_told_of():
    world = await declared()
    await world.build.assigned([world.source])
    await world.turn(world.says(view(1), did("Page Viewed", 2)))
    world.declared.declare("t", event="Page Viewed", aggregate="last", property="url")
    turn = await world.fire(await world.turn())
    assert journal(turn)[0]["changed"] == ["computed.t"]
    assert before(turn) == {}


async def test_what_leaves_a_window_at_the_last_moment_is_told_of():
    world = await declared(window_seconds=10)
    await world.turn(world.says(view(0), view(5)))
    turn = await world.turn(world.says(did("Page Viewed", 10)))
    assert len(before(turn)["computed.t"]["times"]) == 2
    assert len(journal(turn)[0]["profile"]["computed"]["t"]["times"]) == 1


async def test_a_window_that_is_whole_again_was_capped_before(monkeypatch):
    monkeypatch.setattr(windows, "MAX_WINDOW", 1)
    world = await declared(window_seconds=10)
    await world.turn(world.says(view(0), view(5)))
    turn = await world.turn(world.says(did("Page Viewed", 10)))
    assert before(turn)["computed.t"]["capped"]
    assert "capped" not in journal(turn)[0]["profile"]["computed"]["t"]


async def test_identifiers_of_before_are_sorted():
    world, names = World(), [("device_id", f"d{number}") for number in range(9)]
    await world.turn(world.says(did("Page Viewed", identifiers=(*names,))))
    more = did("Page Viewed", 1, identifiers=(("device_id", "x"),))
    assert before(await world.turn(world.says(more)))["identifiers.device_id"] == [
        value for _, value in names
    ]
