"""The built-in facts: what they own, like, use and when they are there."""

import msgspec
import pytest

from schemas.messages import Interaction, MessageChanged
from services.profile.build.model import Habits, State
from services.profile.build.rules import habits as habit_rules
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import OPEN
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import differences, profile_of
from tests.people import at, did, ordered

NONE = Traits({})
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
TABLET = (
    "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
FACTS = (
    "revenue", "revenue_gross", "average_order_value", "days_between_orders",
    "favourite_category", "favourite_brand", "preferred_channel", "preferred_hour",
    "devices", "locale", "time_zone",
)  # fmt: skip


def folded(*said: Interaction) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, NONE, set())
    return state


def facts(*said: Interaction, only: tuple[str, ...] = FACTS):
    """These facts of the published profile, as a reader decodes them."""
    encoded = msgspec.json.encode(profile_of("p1", folded(*said), NONE, OPEN))
    return {name: value for name, value in msgspec.json.decode(encoded).items() if name in only}


def viewed(second: float, category: object = None, brand: object = None) -> Interaction:
    return did("Product Viewed", second, properties={"category": category, "brand": brand})


def line(category: str | None, quantity: int, brand: str | None = None):
    return {"product_id": "p", "category": category, "brand": brand, "quantity": quantity}


# -- money and orders ---------------------------------------------------------------------

MONEY = ("revenue", "revenue_gross", "average_order_value", "days_between_orders")


def test_gross_revenue_and_its_average_are_of_the_orders_that_stand_before_refunds():
    profile = facts(
        ordered(0, order_id="o1", revenue="10.00"),
        ordered(1, order_id="o2", revenue="10.01", currency="EUR"),
        ordered(2, order_id="o3", revenue="15.01"),
        ordered(3, order_id="o4", revenue="99.00"),
        ordered(4, name="Order Refunded", order_id="o1", total="4.00"),
        ordered(5, name="Order Cancelled", order_id="o4"),
        only=("revenue", "revenue_gross", "average_order_value"),
    )
    assert profile == {
        "revenue": [{"amount": "10.01", "currency": "EUR"}, {"amount": "21.01", "currency": "USD"}],
        "revenue_gross": [
            {"amount": "10.01", "currency": "EUR"},
            {"amount": "25.01", "currency": "USD"},
        ],
        "average_order_value": [
            {"amount": "10.01", "currency": "EUR"},
            {"amount": "12.50", "currency": "USD"},
        ],
    }


def test_days_between_orders_are_the_mean_from_the_second_order_on():
    day = 86_400
    first, second, third = (ordered(n * day, order_id=f"o{n}", revenue=1) for n in (0, 2, 5))
    assert facts(third, first, second, only=("days_between_orders",)) == {
        "days_between_orders": "2.50"
    }
    assert facts(first, only=("days_between_orders",)) == {}


def test_who_does_nothing_has_none_of_the_facts():
    assert facts(did("Message Sent", type="message")) == {}


# -- favourites ---------------------------------------------------------------------------

LIKED = ("favourite_category", "favourite_brand")


def test_favourites_are_what_most_units_were_bought_of_whatever_was_viewed():
    order = ordered(
        1, products=[line("tea", 1, "Ida"), line("tea", 1, "Ole"), line("mugs", 3, "Ida")]
    )
    looks = [viewed(second, "hats", "Ole") for second in range(9)]
    assert facts(order, *looks, only=LIKED) == {
        "favourite_category": "mugs",
        "favourite_brand": "Ida",
    }


def test_who_bought_nothing_likes_what_they_view_most_and_of_equals_the_first_by_name():
    looks = [viewed(1, "tea", "Ole"), viewed(2, "hats"), viewed(3, " tea "), viewed(4, "hats")]
    assert facts(*looks, only=LIKED) == {"favourite_category": "hats", "favourite_brand": "Ole"}


def test_a_cancelled_order_and_a_line_of_nothing_make_no_favourite():
    given_back = ordered(1, order_id="o1", products=[line("tea", 5)])
    cancelled = ordered(2, name="Order Cancelled", order_id="o1")
    nothing = ordered(3, order_id="o2", products=[line("hats", 0), line(None, 2)])
    assert facts(given_back, cancelled, nothing, viewed(4, "mugs"), only=LIKED) == {
        "favourite_category": "mugs"
    }


@pytest.mark.parametrize("category", [7, ["tea"], {"a": 1}, "", "  ", "x" * 101, None])
def test_a_category_that_is_no_name_is_left_out(category):
    assert facts(viewed(1, category), only=LIKED) == {}


# -- channel and hour ---------------------------------------------------------------------


def test_the_preferred_channel_is_where_the_person_answers_and_programs_do_not_count():
    step = MessageChanged(
        change_id="c", message_id="m", profile_id="p1", campaign="c", campaign_version=1,
        state="clicked", at=at(9), channel="sms",
    )  # fmt: skip
    clicked = [did("Message Clicked", n, type="message") for n in (1, 2)]
    for said in clicked:
        said.event = msgspec.Raw(msgspec.json.encode(step))
    scanned = [did("Email Opened", n, properties={"machine": True}) for n in range(5)]
    opened = did("Email Opened", 9, properties={"machine": False})
    assert facts(*scanned, *clicked, opened, only=("preferred_channel",)) == {
        "preferred_channel": "sms"
    }


def test_what_a_scanner_opens_tells_neither_hour_nor_device():
    opened = did(
        "Email Opened", 1, properties={"machine": True},
        context={"userAgent": IPHONE, "locale": "en"},
    )  # fmt: skip
    assert facts(opened) == {}


def test_the_preferred_hour_is_told_in_the_time_zone_that_the_events_name():
    noon = [did("Cart Viewed", n, context={"timezone": "Asia/Kolkata"}) for n in range(2)]
    server = [did("Order Completed", 3_600 + n) for n in range(9)]
    assert facts(*noon, *server, only=("preferred_hour",)) == {"preferred_hour": 17}
    assert facts(*server, only=("preferred_hour",)) == {"preferred_hour": 13}


def test_what_happened_to_them_and_imports_say_nothing_of_their_hour():
    passive = did("Email Delivered", 0)
    imported = did("Order Completed", 1, history=True)
    assert facts(passive, imported, only=("preferred_hour",)) == {}


# -- devices and places -------------------------------------------------------------------


def device(second: float, **context: object) -> Interaction:
    return did("Page Viewed", second, type="page", context=context)


def test_devices_are_read_from_user_agents_and_sdks_the_last_used_first():
    profile = facts(
        device(1, userAgent=WINDOWS),
        device(5, userAgent=IPHONE),
        device(3, userAgent=WINDOWS),
        device(2, userAgent=TABLET),
        device(4, device={"type": "ios", "model": "iPad13,4"}, os={"name": "iPadOS"}),
        device(6, userAgent=GOOGLEBOT),
        device(7, userAgent="python-requests/2.32"),
        only=("devices",),
    )
    assert profile["devices"] == [
        {"type": "mobile", "os": "iOS", "browser": "Mobile Safari", "model": "iPhone",
         "last_seen": "2026-03-01T12:00:05Z"},
        {"type": "tablet", "os": "iPadOS", "browser": "", "model": "iPad13,4",
         "last_seen": "2026-03-01T12:00:04Z"},
        {"type": "desktop", "os": "Windows", "browser": "Chrome", "model": "",
         "last_seen": "2026-03-01T12:00:03Z"},
        {"type": "tablet", "os": "Android", "browser": "Chrome", "model": "SM-X710",
         "last_seen": "2026-03-01T12:00:02Z"},
    ]  # fmt: skip


def test_locale_and_time_zone_are_the_latest_by_event_time_in_any_order_of_arrival():
    old = device(1, locale="de_DE", timezone="Europe/Berlin")
    new = device(2, locale="en-GB", timezone="Europe/London")
    expected = {"locale": "en-GB", "time_zone": "Europe/London"}
    assert facts(old, new, only=("locale", "time_zone")) == expected
    assert facts(new, old, only=("locale", "time_zone")) == expected


NONSENSE = (
    7, True, [], {"a": 1}, "", "x" * 5_000, "../../etc/passwd", "Europe", "\x00", "a\tb", "é"
)  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE)
def test_a_context_of_nonsense_tells_nothing_and_breaks_nothing(value):
    said = device(1, locale=value, timezone=value, userAgent=value, device=value, os=value)
    state = folded(said)
    assert facts(said, only=("locale", "time_zone", "devices")) == {}
    assert state.flags == {}
    odd = {"type": value, "model": value}
    assert len(facts(device(1, device=odd, os={"name": value}), only=("devices",))) <= 1


@pytest.mark.parametrize("body", [b'{"context": 7}', b"[", b'{"context": {"locale": "\xff"}}'])
def test_an_event_that_cannot_be_read_is_still_counted(body):
    said = did("Page Viewed", 1)
    said.event = msgspec.Raw(body)
    state = folded(said)
    assert (state.interactions, state.habits) == (1, Habits())


# -- bounds, and what is told of changes --------------------------------------------------


def test_of_too_many_names_and_devices_the_same_stay_in_any_order(monkeypatch):
    monkeypatch.setattr(habit_rules, "MOST_NAMES", 3)
    monkeypatch.setattr(habit_rules, "MOST_DEVICES", 2)
    said = [viewed(n, f"c{n % 7}", f"b{n % 5}") for n in range(20)]
    said += [device(n, device={"model": f"m{n % 5}"}) for n in range(20)]
    kept = folded(*said).habits
    assert kept == folded(*reversed(said)).habits
    assert (len(kept.categories.counts), len(kept.brands.counts)) == (3, 3)
    assert sorted(kept.devices) == ["other\t\t\tm3", "other\t\t\tm4"]
    for tally in (kept.categories, kept.brands):
        assert tally.first == habit_rules.leader(tally.counts)


def test_a_fact_is_told_as_changed_only_when_it_is():
    def told(state: State, said: Interaction) -> set[str]:
        touched: set[str] = set()
        fold(state, said, NONE, touched)
        return touched - {"counters.Product Viewed", "first_seen", "last_seen"}

    state = State()
    context = {"locale": "en", "timezone": "UTC", "userAgent": WINDOWS}
    look = {"properties": {"category": "tea"}, "context": context}
    assert told(state, did("Product Viewed", 1, **look)) == {
        "identifiers.anonymous_id", "favourite_category", "preferred_hour", "devices",
        "locale", "time_zone",
    }  # fmt: skip
    assert told(state, did("Product Viewed", 2, **look)) == set()
    assert told(state, viewed(3, "hats")) == set()
    assert told(state, viewed(4, "hats")) == {"favourite_category"}
    assert told(state, did("Product Viewed", 7_200, context=context)) == set()


def test_what_a_rebuild_changes_of_habits_is_told():
    old, new = folded(viewed(1, "tea")), folded(viewed(1, "hats"))
    assert differences(old, new, ()) == {"favourite_category"}
