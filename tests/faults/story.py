"""A made-up shop's events, and what must have become of them: the oracle of the fault tests.

Each person browses anonymously, logs in (which links the two identities), and goes on
under the user id; a fifth of all events are orders, some of them refunded. Some events are
sent twice. The oracle is a plain loop over the distinct messages that were sent.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from schemas.messages import ProfileChanged

_START = datetime(2026, 1, 1, tzinfo=UTC)
_decoder = msgspec.json.Decoder(ProfileChanged)


class Sent(msgspec.Struct):
    """One record to produce."""

    topic: str
    key: str
    value: bytes
    person: str
    message_id: str
    name: str
    order_id: str = ""
    amount: Decimal = Decimal(0)


class Person(msgspec.Struct, frozen=True):
    """What must be known of one person in the end."""

    counters: tuple[tuple[str, int], ...]
    orders: int
    revenue: Decimal


def story(people: int, events: int, seed: int, prefix: str = "") -> list[Sent]:
    """``events`` records of ``people`` persons, in order of time, duplicates included."""
    chance = random.Random(seed)
    sent: list[Sent] = []
    orders = defaultdict[str, list[Sent]](list)
    for number in range(events):
        person = f"{prefix}person-{chance.randrange(people)}"
        event = _event(chance, f"{prefix}{seed}-{number}", person, orders[person])
        event["timestamp"] = event["receivedAt"] = (_START + timedelta(seconds=number)).isoformat()
        sent.append(_record(event, person))
        if event.get("event") == "Order Completed":
            orders[person].append(sent[-1])
        if chance.random() < 0.05:
            sent.append(chance.choice(sent))
    return sent


def _event(
    chance: random.Random, message_id: str, person: str, orders: list[Sent]
) -> dict[str, Any]:
    event: dict[str, Any] = {"messageId": message_id, "type": "track", "properties": {}}
    known = chance.random() < 0.5
    event |= {"userId": person} if known else {"anonymousId": f"anon-{person}"}
    roll = chance.random()
    if roll < 0.15:
        both = {"userId": person, "anonymousId": f"anon-{person}"}
        return event | both | {"type": "identify", "traits": {"plan": message_id}}
    if roll < 0.35:
        amount = f"{chance.randrange(5000, 9000) / 100:.2f}"  # more than its refunds will be
        event["event"] = "Order Completed"
        event["properties"] = {
            "order_id": f"order-{message_id}",
            "revenue": amount,
            "total": amount,
            "currency": "EUR",
        }
    elif roll < 0.42 and orders:
        order = chance.choice(orders)
        event["event"] = "Order Refunded"
        event["properties"] = {"order_id": order.order_id, "total": "0.50", "currency": "EUR"}
    else:
        event["event"] = chance.choice(["Product Viewed", "Cart Viewed", "Something Custom"])
    return event


def _record(event: dict[str, Any], person: str) -> Sent:
    name = event.get("event", "Identify")
    topics = {"Identify": "events.people"}
    topic = "events.orders" if name.startswith("Order") else topics.get(name, "events.clicks")
    key = event.get("anonymousId") or event["userId"]
    properties = event["properties"]
    sign = {"Order Completed": 1, "Order Refunded": -1}.get(name, 0)
    return Sent(
        topic=topic,
        key=key,
        value=msgspec.json.encode(event),
        person=person,
        message_id=event["messageId"],
        name=name,
        order_id=properties.get("order_id", ""),
        amount=sign * Decimal(properties.get("total", "0")),
    )


def expected(sent: Iterable[Sent]) -> dict[str, Person]:
    """The oracle: every distinct message counts once."""
    counters = defaultdict[str, Counter[str]](Counter)
    orders = Counter[str]()
    revenue = defaultdict[str, Decimal](Decimal)
    linked = set[str]()
    seen = set[str]()
    for item in sent:
        if item.message_id in seen:
            continue
        seen.add(item.message_id)
        counters[item.person][item.name] += 1
        orders[item.person] += item.name == "Order Completed"
        revenue[item.person] += item.amount
        if item.name == "Identify":
            linked.add(item.person)
    assert linked == set(counters), "let each person log in at least once: send more events"
    return {
        person: Person(tuple(sorted(counts.items())), orders[person], revenue[person])
        for person, counts in counters.items()
    }


def found(changes: Iterable[Any]) -> dict[str, Person]:
    """The same, read off the records of ``profile.changes`` as another team would."""
    latest: dict[bytes, ProfileChanged] = {}
    for record in changes:
        change = _decoder.decode(record.value)
        before = latest.get(record.key)
        assert before is None or before.version <= change.version, "a version went back"
        latest[record.key] = change
    people: dict[str, Person] = {}
    for change in latest.values():
        if change.profile is None:
            assert change.merged_into is not None
            continue
        profile = change.profile
        (person,) = [i.value for i in profile.identifiers if i.type == "user_id"]
        assert person not in people, f"{person} is two people"
        revenue = sum((money.amount for money in profile.revenue), Decimal(0))
        counts = tuple(sorted(profile.counters.items()))
        people[person] = Person(counts, profile.order_count, revenue)
    return people


def state_hash(changes: Iterable[Any]) -> str:
    """A hash of what is known of everybody, whatever the profile ids and versions are."""
    latest: dict[bytes, ProfileChanged] = {}
    for record in changes:
        latest[record.key] = _decoder.decode(record.value)
    bodies = sorted(
        msgspec.json.encode(msgspec.structs.replace(change.profile, profile_id=""), order="sorted")
        for change in latest.values()
        if change.profile is not None
    )
    return hashlib.sha256(b"\n".join(bodies)).hexdigest()
