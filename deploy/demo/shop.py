"""The live shop: visits that overlap, sent as they would arrive, with the usual disorder.

An open loop: events come at their rate, whatever the services do with them.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import NamedTuple

from deploy.demo.goods import Person, population
from deploy.demo.sending import Sender
from deploy.demo.visits import Event, Step, Visit

PEOPLE = 600
EVENTS_A_VISIT = 12.4
"""On average, measured: visits arrive at the rate of events divided by this."""
_VISIT_S = 30.0
DUPLICATES, LATE, DELAYED = 0.02, 0.02, 0.05
_TICK_S = 0.05
_MOST = 400
"""Events of one request, should many have to be caught up with."""


class Delivery(NamedTuple):
    """An event on its way to ingest. Times are seconds since the shop opened."""

    sent: float
    number: int
    happened: float
    event: Event


def deliveries(seed: str, rate: float) -> Iterator[Delivery]:
    """Everything that the shop sends, by the time of sending, without end.

    The same ``seed`` and ``rate`` give the same. Some events come twice (with the same
    messageId), some hours after they happened, some are overtaken by later ones.
    """
    random = Random(seed)
    numbers = count()
    waiting: list[Delivery] = []
    for at, step in _steps(random, seed, rate):
        while waiting and waiting[0].sent <= at:
            yield heappop(waiting)
        number = next(numbers)
        event = {**step.event, "messageId": f"shop-{seed}-{number}"}
        happened, sent = at, at
        if random.random() < LATE and _browsing(event):
            happened = at - random.uniform(1, 6) * 3_600
        if random.random() < DELAYED:
            sent = at + random.uniform(1, 4)
        heappush(waiting, Delivery(sent, next(numbers), happened, event))
        if random.random() < DUPLICATES:
            again = Delivery(sent + random.uniform(1, 6), next(numbers), happened, event)
            heappush(waiting, again)


def _browsing(event: Event) -> bool:
    return event["type"] == "page" or str(event.get("event", "")).startswith("Product")


def _steps(random: Random, seed: str, rate: float) -> Iterator[tuple[float, Step]]:
    """The steps of all visits, merged by time."""
    people = population(PEOPLE)
    orders = count(1_001)
    arrivals = rate / EVENTS_A_VISIT
    going: list[tuple[float, int, Iterator[Step], Step]] = []
    order = count()

    def enter(at: float) -> None:
        visit = _visit(random, people, lambda: f"CM-{seed}-{next(orders)}").events()
        step = next(visit)
        heappush(going, (at, next(order), visit, step))

    for _ in range(round(arrivals * _VISIT_S / 2)):  # some are in the shop when it opens
        enter(random.uniform(0, 5))
    arrival = random.expovariate(arrivals)
    while True:
        while not going or arrival <= going[0][0]:
            enter(arrival)
            arrival += random.expovariate(arrivals)
        at, _, visit, step = heappop(going)
        yield at, step
        following = next(visit, None)
        if following is not None:
            heappush(going, (at + following.seconds, next(order), visit, following))


def _visit(random: Random, people: list[Person], next_order: Callable[[], str]) -> Visit:
    if random.random() < 0.25:
        return Visit(random, f"guest-{random.getrandbits(48):012x}", None, next_order)
    # A few come much more often than the others.
    person = people[min(int(random.paretovariate(0.7)) - 1, len(people) - 1)]
    if random.random() < 0.5:
        person = random.choice(people)
    known = random.random() < 0.2  # still logged in from last time
    return Visit(random, random.choice(person.devices), person, next_order, known=known)


async def keep_open(sender: Sender, seed: str, rate: float, tell: Callable[[int], None]) -> None:
    """Send until cancelled; ``tell`` hears how many events each request held."""
    opened = datetime.now(UTC)
    loop = asyncio.get_running_loop()
    start = loop.time()
    coming = deliveries(seed, rate)
    upcoming = next(coming)
    while True:
        await asyncio.sleep(_TICK_S)
        now = loop.time() - start
        batch: list[Event] = []
        while upcoming.sent <= now and len(batch) < _MOST:
            at = opened + timedelta(seconds=upcoming.happened)
            batch.append({**upcoming.event, "timestamp": at.isoformat()})
            upcoming = next(coming)
        if batch:
            await sender.send(batch)
            tell(len(batch))
