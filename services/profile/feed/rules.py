"""Which records are a subscription's own, as what they are sent, and what follows an attempt."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct, structs

from schemas.messages import Profile
from schemas.validation import Fault
from services.profile.feed.model import (
    PROFILE_CHANGED,
    PROFILE_ERASED,
    SEGMENT_ENTERED,
    SEGMENT_EXITED,
    Delivery,
    Outcome,
    Patience,
    Subscription,
    Told,
)

_encode = msgspec.json.encode

_KEYED = frozenset({"traits", "counters", "consent", "identifiers", "computed"})
"""Sections of which each entry is named: ``traits.plan``."""
_TOLD = (frozenset(Profile.__struct_fields__) - {"profile_id"}) | {"merged_from", "merged_into"}
_BY_ORDERS = (
    "order_count", "revenue", "revenue_gross", "average_order_value", "days_between_orders",
    "first_order_at", "last_order_at",
)  # fmt: skip
_NAMED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_BY_ORDERS, ("orders",)),
    "favourite_category": ("favourite_category", "orders"),
    "favourite_brand": ("favourite_brand", "orders"),
    "revenue_base_missing": ("revenue_base",),
    "interactions": ("counters",),
}
"""Facts that follow from others: by which names of ``changed`` one hears of them."""


class _Changed(Struct):
    changed: tuple[str, ...] = ()


class _Segment(Struct):
    segment: str


_changed = msgspec.json.Decoder(_Changed)
_segment = msgspec.json.Decoder(_Segment)


class Arrived(Struct, kw_only=True):
    """A record of Kafka, whoever has read it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    stamp: int

    def header(self, name: str) -> str:
        """A header as text, or the empty string."""
        return self.headers.get(name, b"").decode("utf-8", "replace")


def read(record: Arrived) -> Told | Fault:
    """What a record says; a Fault where it does not fit. The body is made once, for all."""
    type_ = record.header("ce_type")
    try:
        profile_id = (record.key or b"").decode()
        names: tuple[str, ...] = ()
        segment = ""
        if record.value is None:
            # Whoever wrote it: on a compacted topic no value means that the key is no more.
            type_ = PROFILE_ERASED
        elif type_ == PROFILE_CHANGED:
            names = _changed.decode(record.value).changed
        elif type_ in (SEGMENT_ENTERED, SEGMENT_EXITED):
            segment = _segment.decode(record.value).segment
        else:
            return Fault("unknown_type", type_[:100])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Fault("not_as_declared", type(error).__name__)
    data = record.value or _encode({"profile_id": profile_id})
    head = _encode({"type": type_, "timestamp": record.header("ce_time")})
    return Told(
        offset=record.offset,
        profile_id=profile_id,
        type=type_,
        id=record.header("ce_id") or f"{record.topic}/{record.partition}/{record.offset}",
        stamp=record.stamp,
        names=names,
        segment=segment,
        body=head[:-1] + b',"data":' + data + b"}",
    )


def wants(subscription: Subscription, told: Told) -> bool:
    """Whether the event is to be sent.

    Where a person went (a redirect) and that one was erased matters whatever else is asked
    for: else the receiver would keep somebody who is no more.
    """
    if told.type not in subscription.types or told.stamp < subscription.floor:
        return False
    if told.type == PROFILE_CHANGED and subscription.changed:
        return "merged_into" in told.names or any(
            name == wanted or name.startswith(wanted + ".")
            for asked in subscription.changed
            for wanted in _NAMED.get(asked, (asked,))
            for name in told.names
        )
    if told.segment and subscription.segments:
        return told.segment in subscription.segments
    return True


def unheard(names: Iterable[str]) -> list[str]:
    """Those of ``names`` by which nothing is ever told as changed."""
    wrong = []
    for name in names:
        section, dot, _ = name.partition(".")
        if section not in _TOLD or (dot and section not in _KEYED):
            wrong.append(name)
    return wrong


def webhook_id(subscription: str, event_id: str) -> str:
    """The id of an event for one receiver: the same however often it is sent."""
    return "msg_" + sha256(f"{subscription}/{event_id}".encode()).hexdigest()[:32]


def delivery_of(subscription: Subscription, source: str, told: Told, now: datetime) -> Delivery:
    """The event on its way."""
    return Delivery(
        id=f"{subscription.id}/{source}/{told.offset}",
        subscription=subscription.id,
        source=source,
        offset=told.offset,
        profile_id=told.profile_id,
        webhook_id=webhook_id(subscription.id, told.id),
        type=told.type,
        body=told.body,
        due=now,
    )


def settle(
    delivery: Delivery, outcome: Outcome, patience: Patience
) -> Delivery | Literal["done", "given_up"]:
    """What follows an attempt: nothing more, or the delivery as it waits for the next one."""
    if outcome.kind == "delivered":
        return "done"
    begun_at = delivery.begun_at or outcome.at
    if outcome.at - begun_at >= patience.give_up:
        return "given_up"
    due = outcome.at + pause(outcome, patience)
    return structs.replace(delivery, attempts=outcome.attempt, begun_at=begun_at, due=due)


def pause(outcome: Outcome, patience: Patience) -> timedelta:
    """Twice as long after each attempt, up to the cap; halved at most by chance."""
    doubled = patience.first_seconds * 2.0 ** min(outcome.attempt - 1, 30)
    seconds = min(doubled, patience.cap_seconds) * (0.5 + outcome.chance / 2)
    return timedelta(seconds=max(seconds, min(outcome.wait, patience.cap_seconds)))


def verdict(
    subscription: Subscription,
    outcome: Outcome,
    failing_since: datetime | None,
    patience: Patience,
) -> Literal["", "endpoint_gone", "endpoint_failing"]:
    """Why the subscription must be disabled, if it must."""
    if outcome.kind == "gone":
        return "endpoint_gone"
    if outcome.kind == "failed" and failing_since is not None:
        since = max(failing_since, subscription.enabled_at)
        return "endpoint_failing" if outcome.at - since >= patience.give_up else ""
    return ""
