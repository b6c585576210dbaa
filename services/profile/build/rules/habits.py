"""What a person tends to do, and with what: hours, devices, places, what they look at.

Per event, so it must cost little: it is given the few fields that matter.
Everything kept is bounded, and depends on the set of events only: counts add; of words and
devices the latest stay; of names too many to keep, those stay whose checksum is smallest.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

from schemas.messages import Interaction
from services.profile.build.model import Habits, Latest, Tally
from services.profile.build.rules.body import Context, Glimpse
from services.profile.build.rules.devices import device_of

RESPONSES = {
    "Email Opened": "email",
    "Email Link Clicked": "email",
    "Push Notification Tapped": "push",
    "Live Chat Conversation Started": "chat",
    "Live Chat Message Sent": "chat",
}
"""Events by which a person answers on a channel."""
GLANCED = frozenset({"Product Viewed", *RESPONSES})
"""The events of which some properties matter here."""
MESSAGE_RESPONSES = frozenset({"Message Opened", "Message Clicked"})
"""Steps of our own messages that are an answer on the message's channel."""
MOST_DEVICES = 20
MOST_NAMES = 200
_HOURS = tuple(f"{hour:02}" for hour in range(24))
_LONGEST = 100
_ZONE = re.compile(r"[A-Za-z0-9_+\-]{1,30}(/[A-Za-z0-9_+\-]{1,30}){0,2}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}")


def fold_habits(
    habits: Habits, said: Interaction, told: tuple[datetime, Context, Glimpse], touched: set[str]
) -> None:
    """Take in one event that a person did themselves; ``told`` is when, and what is in it."""
    (at, where, what), name = told, said.name
    if name == "Product Viewed":
        _look(habits, what, touched)
    elif name in RESPONSES:
        if what.machine is True:
            return  # a scanner opened it: nobody's answer, hour or device
        respond(habits, RESPONSES[name], touched)
    locale, zone = where.locale, None
    if isinstance(locale, str):
        known = habits.locale
        if known is not None and known.value == locale:
            if at > known.at:
                known.at = at
        else:
            habits.locale = _later(known, at, _language(locale), "locale", touched)
    if isinstance(where.timezone, str) and (zone := zone_of(where.timezone)) is not None:
        habits.time_zone = _later(habits.time_zone, at, where.timezone, "time_zone", touched)
    if not said.history:  # an import often knows the day alone
        if zone is not None:
            leads = count(habits.hours, _HOURS[at.astimezone(zone).hour])
        else:
            leads = count(habits.utc_hours, _HOURS[at.hour]) and not habits.hours.first
        if leads:
            touched.add("preferred_hour")
    device = device_of(where.device, where.os, where.agent)
    if device is not None:
        last = habits.devices.get(device)
        if last is None or last < at:
            _use(habits.devices, device, at, touched)


def respond(habits: Habits, channel: str, touched: set[str]) -> None:
    """The person answered on a channel."""
    if count(habits.responses, channel):
        touched.add("preferred_channel")


def _look(habits: Habits, what: Glimpse, touched: set[str]) -> None:
    if what.category is not None and _chosen(habits.categories, what.category):
        touched.add("favourite_category")
    if what.brand is not None and _chosen(habits.brands, what.brand):
        touched.add("favourite_brand")


def _chosen(tally: Tally, value: Any) -> bool:
    """Count a category or brand that was looked at; whether another is the favourite now."""
    counts = tally.counts
    named = value if value == tally.first else favourable(value)
    if not named:
        return False
    if named == tally.first:
        counts[named] += 1
        return False
    leads = count(tally, named)
    if len(counts) > MOST_NAMES:
        del counts[max(counts, key=lambda one: (crc32(one.encode()), one))]
        before, tally.first = tally.first, leader(counts)
        return leads or before != tally.first
    return leads


def favourable(value: Any) -> str | None:
    """A category or brand that may be somebody's favourite."""
    if not isinstance(value, str):
        return None
    named = value.strip()
    return named if 0 < len(named) <= _LONGEST else None


@lru_cache(maxsize=1_000)
def _language(value: str) -> str | None:
    return value.replace("_", "-") if _LOCALE.fullmatch(value) else None


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, such as ``Europe/Berlin``; None if there is none."""
    if not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; a file or a folder that is no zone
        return None


def _later(
    word: Latest | None, at: datetime, value: str | None, name: str, touched: set[str]
) -> Latest | None:
    """The word that holds after ``value`` was said."""
    if value is None:
        return word
    if word is None:
        touched.add(name)
        return Latest(at, value)
    if word.value == value:
        if at > word.at:
            word.at = at
    elif (at, value) > (word.at, word.value):
        touched.add(name)
        return Latest(at, value)
    return word


def _use(devices: dict[str, datetime], device: str, at: datetime, touched: set[str]) -> None:
    if device not in devices:
        touched.add("devices")
    devices[device] = at
    if len(devices) > MOST_DEVICES:
        del devices[min(devices, key=lambda one: (devices[one], one))]


def count(tally: Tally, name: str) -> bool:
    """Count ``name`` once more; whether this puts it first."""
    counts, first = tally.counts, tally.first
    if name == first:  # by far the most frequent case
        counts[name] += 1
        return False
    times = counts[name] = counts.get(name, 0) + 1
    if first:
        best = counts[first]
        if times < best or (times == best and name > first):
            return False
    tally.first = name
    return True


def leader(counts: Mapping[str, int]) -> str:
    """The one that was counted most; of several the first in order. Empty without any."""
    best = max(counts.values(), default=0)
    return min((name for name, times in counts.items() if times == best), default="")


def preferred_hour(habits: Habits) -> int | None:
    """The hour of day, 0 to 23, in which the person is most often active.

    By the actions that named a time zone; in UTC where none did.
    """
    hour = habits.hours.first or habits.utc_hours.first
    return int(hour) if hour else None
