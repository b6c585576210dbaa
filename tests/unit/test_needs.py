"""What a batch has to know of people before it is attributed, and nothing besides."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Link, Mark, Owner
from services.profile.resolve.rules.kinds import is_device
from services.profile.resolve.rules.needs import Needed, needed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BOB = Identifier("user_id", "ann"), Identifier("user_id", "bob")
PHONE, ORDER = Identifier("anonymous_id", "phone"), Identifier("order", "shop/o1")
CARD = Identifier("loyalty_card", "c1")
FAY, GIL, ALSO_GILS, JOINED = (Identifier("phone", str(number)) for number in range(4))
MAIL, HERS, NEW = (Identifier("email_sha256", one) for one in ("mail", "hers", "new"))
OWNERS = {ANN: Owner("p_ann"), BOB: Owner("p_bob"), HERS: Owner("p_eve"), CARD: Owner("")}
OWNERS |= {FAY: Owner("p_fay", unvouched=True), GIL: Owner("p_gil", contested=True)}
OWNERS |= {ALSO_GILS: Owner("p_gil", contested=True), JOINED: Owner("p_gil", True, True)}
TURNS = [Mark(NOON, "m1", ANN), Mark(NOON + timedelta(minutes=10), "m2", BOB)]
"""Ann, then Bob."""


def of(
    devices: Mapping[Identifier, Device],
    *named: Identifier,
    minute: int = 20,
    page: bool = False,
) -> Needed:
    """What a message needs that names these."""
    nodes = [each for each in named if not is_device(each.type)]
    things = [each for each in named if is_device(each.type)]
    at = NOON + timedelta(minutes=minute)
    said = Link("m3", at, "shop", "same_event", [*named], [], nodes, things, page)
    return needed([said], OWNERS, devices)


def test_what_says_nothing_new_needs_nobody() -> None:
    devices = {PHONE: Device("p_bob", marks=TURNS)}
    assert of(devices, BOB) == of(devices, BOB, PHONE) == of(devices, NEW, MAIL) == Needed()


def test_what_only_pages_named_needs_nobody_until_somebody_believed_names_it() -> None:
    assert of({}, FAY, page=True) == Needed()
    assert of({}, FAY) == Needed(people={"p_fay"})


def test_who_is_contested_is_needed_only_where_a_decision_alone_may_have_made_a_name_theirs() -> (
    None
):
    assert of({}, GIL) == of({}, GIL, ALSO_GILS) == Needed()
    assert of({}, JOINED, page=True) == of({}, GIL, JOINED, page=True) == Needed(people={"p_gil"})


def test_what_joins_names_needs_all_who_have_them() -> None:
    assert of({}, BOB, PHONE) == of({}, BOB, MAIL) == Needed(people={"p_bob"})
    assert of({}, ANN, HERS) == of({}, NEW, ANN, HERS) == Needed(people={"p_ann", "p_eve"})


def test_what_comes_late_without_a_name_needs_who_was_named_on_its_device_by_then() -> None:
    devices = {PHONE: Device("p_bob", marks=TURNS)}
    assert [of(devices, PHONE, minute=at) for at in (-1, 0, 9)] == [Needed(anchors={ANN})] * 3
    assert [of(devices, PHONE, minute=at) for at in (10, 20)] == [Needed()] * 2


def test_what_comes_without_a_name_on_a_device_that_had_none_needs_nobody() -> None:
    assert of({}, PHONE) == of({PHONE: Device("p_visitor")}, PHONE) == Needed()


def test_who_is_named_on_anothers_device_needs_both_and_what_its_holder_did_last() -> None:
    devices = {PHONE: Device("p_bob", marks=TURNS)}
    assert of(devices, ANN, PHONE) == Needed(people={"p_ann", "p_bob"}, holders={PHONE: "p_bob"})


def test_who_is_named_on_a_visitors_device_needs_the_visitor_and_not_what_they_did_last() -> None:
    assert of({PHONE: Device("p_visitor")}, ANN, PHONE) == Needed(people={"p_ann", "p_visitor"})


def test_who_is_named_on_a_shared_device_needs_nobody_who_has_it() -> None:
    shared = Device("p_bob", marks=TURNS, shared=True)
    assert of({PHONE: shared}, NEW, PHONE) == Needed()


def test_what_nobody_has_any_more_needs_nobody() -> None:
    assert of({PHONE: Device("", decided=True)}, CARD, PHONE) == Needed()


def test_an_order_that_leads_to_a_device_needs_nobody_who_has_that() -> None:
    led = Device("p_ann", lead=Mark(NOON, "m0", PHONE))
    assert of({ORDER: led, PHONE: Device("p_bob", marks=TURNS)}, ORDER, minute=-1) == Needed()
