"""Whose is a device? It belongs to whoever was named on it last, at each instant. Pure.

What came before the first time that anybody was named belongs to that first person; what
comes after another one was named is that one's, whenever it arrives. A device on which too
many people are named is shared: what comes without a name is then nobody's in particular.
"""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Link, Mark
from services.profile.resolve.rules.kinds import ORDER, SHARED_DAYS, SHARED_NAMES, SHARED_TURNS

_WINDOW = timedelta(days=SHARED_DAYS)


def mark_of(link: Link) -> Mark:
    """The mark that a message leaves on each device that it names."""
    return Mark(link.at, link.message_id, link.nodes[0])


def led(link: Link) -> list[Identifier]:
    """The orders that a message leads to its device: it names that first, and nobody."""
    devices = link.devices
    if link.nodes or len(devices) < 2 or devices[0].type == ORDER:
        return []
    return [each for each in devices if each.type == ORDER]


def order_of(link: Link) -> Identifier | None:
    """The order of which a message tells whoever is named on it; None: of none, or it is told by
    a visitor, whose it stays."""
    if not link.nodes and link.devices[0].type != ORDER:
        return None
    return min((each for each in link.devices if each.type == ORDER), default=None)


def lead_of(link: Link) -> Mark:
    """The lead that it leaves on each of them."""
    return Mark(link.at, link.message_id, link.devices[0])


def leads(devices: Iterable[Device]) -> set[Identifier]:
    """The devices to which orders lead on which nobody is named: what tells whose they are."""
    return {each.lead.anchor for each in devices if each.lead and not each.marks}


def is_earlier(lead: Mark, than: Mark | None) -> bool:
    """Whether an order is whose ``lead`` is, rather."""
    return than is None or _order(lead) < _order(than)


def governing(marks: Sequence[Mark], at: datetime) -> Mark:
    """Whose mark tells whose a message without a name is: the last one by then, or the first."""
    if marks[-1].at <= at:
        return marks[-1]
    return marks[max(0, bisect_right(marks, at, key=_time) - 1)]


def place(marks: Sequence[Mark], mark: Mark) -> int:
    """The index of the last of ``marks`` that is not after ``mark``; -1: all are."""
    return bisect_right(marks, (mark.at, mark.message_id), key=_order) - 1


def turns(marks: Sequence[Mark]) -> list[Mark]:
    """The first mark of each run with one anchor, of all marks of a device."""
    runs: list[Mark] = []
    for mark in sorted(marks, key=_order):
        if not runs or runs[-1].anchor != mark.anchor:
            runs.append(mark)
    return runs


def is_shared(marks: Sequence[Mark]) -> bool:
    """Whether too many people are named, of all marks of a device.

    Too many: more than ``SHARED_NAMES`` of one type within ``SHARED_DAYS``, or the device
    has changed hands more than ``SHARED_TURNS`` times. More marks never make it less.
    """
    if len(turns(marks)) > SHARED_TURNS:
        return True
    if not has_many_names(marks):
        return False
    window: deque[Mark] = deque()
    for mark in sorted(marks, key=_order):
        window.append(mark)
        while mark.at - window[0].at > _WINDOW:
            window.popleft()
        if has_many_names(window):
            return True
    return False


def has_many_names(marks: Sequence[Mark]) -> bool:
    """Whether more than ``SHARED_NAMES`` of one type are among these marks."""
    names = Counter(anchor.type for anchor in {mark.anchor for mark in marks})
    return any(count > SHARED_NAMES for count in names.values())


def settled_on(device: Device, anchor: Identifier, link: Link) -> bool:
    """Whether the device was this person's already, and a further mark says nothing new."""
    if device.shared:
        return True
    if device.decided or not device.marks:
        return False
    last = device.marks[-1]
    return last.anchor == anchor and (
        last.at < link.at or (last.at == link.at and last.message_id <= link.message_id)
    )


def _order(mark: Mark) -> tuple[datetime, str]:
    return mark.at, mark.message_id


def _time(mark: Mark) -> datetime:
    return mark.at
