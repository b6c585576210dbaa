"""However money goes back, in one piece or in many, in any order: the same revenue is left."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Interaction
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.orders import net_of, net_revenue, orders_of
from tests.people import ordered
from tests.tried import tried

NONE = Traits({})
CENTS = st.integers(0, 20_000).map(lambda cents: Decimal(cents) / 100)


def folded(said: list[Interaction]) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, NONE, set())
    return state


def left(said: list[Interaction]) -> Decimal:
    [order] = orders_of(folded(said))
    return net_of(order)


@st.composite
def sales(draw: st.DrawFn) -> Interaction:
    revenue, tax, shipping = draw(CENTS), draw(CENTS), draw(CENTS)
    total = revenue + tax + shipping
    return ordered(0, revenue=str(revenue), total=str(total), currency=draw(CURRENCIES))


CURRENCIES = st.sampled_from(["USD", "JPY", "KWD"])
KINDS = st.sampled_from([("total",), ("amount",), ("revenue",), ("total", "tax", "shipping")])


def refund(number: str, kind: tuple[str, ...], cents: int) -> Interaction:
    """A refund of so many cents of each of what it names."""
    says = {name: str(Decimal(cents) / 100 * (3 if name == "total" else 1)) for name in kind}
    return ordered(float(len(number)), name="Order Refunded", id=f"r{number}", **says)


@st.composite
def paid_back(draw: st.DrawFn) -> tuple[list[Interaction], list[Interaction]]:
    """Refunds, and the same with each cut into two."""
    whole, cut = [], []
    for number, (kind, cents) in enumerate(
        draw(st.lists(st.tuples(KINDS, st.integers(2, 12_000)), max_size=4))
    ):
        first = draw(st.integers(1, cents - 1))
        whole.append(refund(f"{number}", kind, cents))
        cut += [refund(f"{number}a", kind, first), refund(f"{number}bb", kind, cents - first)]
    return whole, cut


@tried(300)
@given(sales(), paid_back(), st.randoms(use_true_random=False))
def test_any_split_and_order_of_refunds_leaves_the_same_net_revenue(sale, refunds, random):
    whole, cut = refunds
    said = [sale, *cut]
    assert left(random.sample(said, len(said))) == left([sale, *whole])


@tried(300)
@given(sales(), paid_back())
def test_net_revenue_is_never_below_nothing_nor_above_what_was_sold(sale, refunds):
    [order] = orders_of(folded([sale, *refunds[1]]))
    assert 0 <= net_of(order) <= order.revenue
    assert all(one.revenue is not None and one.revenue >= 0 for one in order.refunds)
    if sum(one.amount for one in order.refunds) >= order.total > 0:
        assert net_of(order) == 0


STATES = st.sampled_from([None, "processing", "cancelled", "refunded"])


@st.composite
def turns(draw: st.DrawFn) -> list[Interaction]:
    """An order that is changed, cancelled and opened again, at a few instants."""
    said = [ordered(0, revenue=10, id="m0")]
    for number in range(1, draw(st.integers(1, 8))):
        name, state = draw(st.sampled_from(["Updated", "Cancelled"])), draw(STATES)
        at = draw(st.integers(0, 4))
        words = {"status": state} if name == "Updated" and state else {}
        said.append(ordered(at, name=f"Order {name}", id=f"m{number}", revenue=10, **words))
    return said


@tried(300)
@given(turns(), st.randoms(use_true_random=False))
def test_the_last_word_by_event_time_says_whether_an_order_stands(said, random):
    [order] = orders_of(folded(random.sample(said, len(said))))
    words = [(said[0].at, 1)]
    for one in said[1:]:
        if one.name == "Order Cancelled" or b'"cancelled"' in bytes(one.event):
            words.append((one.at, 0))
        elif b'"processing"' in bytes(one.event):
            words.append((one.at, 1))
    last = max(at for at, _ in words)
    stands = min(word for at, word in words if at == last) == 1
    assert (order.status == "completed") == stands
    assert (order.cancelled_at is None) == stands
    assert bool(net_revenue([order])) == stands
