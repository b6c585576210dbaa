"""Who are the people? The pure function of all that was said, by whole components.

Used where the order of arrival may have misled (``identity``), and to try what a decision
would do. Three steps: which identifiers are one person's (``partition``), whose each message
is (``devices``), and which profile ids each person has: an id belongs, for ever, to the
person whose message made it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct, field

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Link, Mark, Owner, Person
from services.profile.resolve.rules.decisions import NOTHING, Decided
from services.profile.resolve.rules.devices import (
    governing,
    is_earlier,
    is_shared,
    lead_of,
    led,
    mark_of,
    order_of,
    turns,
)
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.kinds import ORDER, is_device
from services.profile.resolve.rules.partition import Group, Partition, partition

Whose = int
"""A person of the outcome, by number."""


class Past(Struct):
    """All that is known of some people: closed over what was refused between them."""

    links: list[Link] = field(default_factory=list)
    """Of every interaction that names anybody."""
    steps: dict[str, str] = field(default_factory=dict)
    """Interaction id -> the profile id that it names; these name nobody else."""
    placed: dict[str, str] = field(default_factory=dict)
    """Interaction id -> the profile id under which it stands now."""
    shown: dict[str, list[Identifier]] = field(default_factory=dict)
    """Interaction id -> the identifiers that it shows as its person's."""
    sales: set[str] = field(default_factory=set)
    """Interactions that tell of an order."""
    handed: dict[str, str] = field(default_factory=dict)
    """Those whose order is another person's -> the profile id that it says has it."""
    people: dict[str, Person] = field(default_factory=dict)
    """Everyone concerned, absorbed ones too."""
    owners: dict[Identifier, Owner] = field(default_factory=dict)
    devices: dict[Identifier, Device] = field(default_factory=dict)
    anew: set[Identifier] = field(default_factory=set)
    """Devices of which every mark is among ``links``."""
    decided: Decided = NOTHING


class Found(Struct):
    """One person of the outcome."""

    group: Group | None
    """None: the anonymous person of ``device``."""
    device: Identifier | None = None
    messages: list[str] = field(default_factory=list)
    profile_ids: list[str] = field(default_factory=list)
    """Every id that belongs to this person."""


class Outcome(Struct):
    """Who the people are."""

    parts: Partition
    found: list[Found] = field(default_factory=list)
    whose: dict[str, Whose] = field(default_factory=dict)
    """Each message's person."""
    apart: dict[str, list[Identifier]] = field(default_factory=dict)
    """Devices of messages that a decision keeps from their persons, by interaction id."""
    handed: dict[str, Whose] = field(default_factory=dict)
    """Messages that tell of an order which another person has now -> that one."""
    devices: dict[Identifier, Device] = field(default_factory=dict)
    """Those decided anew; ``profile_id`` is the caller's to fill in."""
    strays: set[Identifier] = field(default_factory=set)
    """Devices that somebody else has as well, whose history must be read too."""


def people_of(past: Past) -> Outcome:
    """The people of a past; messages of ``strays`` are left where they are."""
    outcome = Outcome(partition(past.links, past.decided))
    _decide_devices(past, outcome)
    numbers: dict[int | Identifier, Whose] = {}
    for link in past.links:
        key = _whose(link, past, outcome)
        if key is not None:
            _put(outcome, numbers, key, link.message_id)
    _give_ids(past, outcome)
    _hand_on(past, outcome)
    return outcome


def _decide_devices(past: Past, outcome: Outcome) -> None:
    marks: dict[Identifier, list[Mark]] = {device: [] for device in past.anew}
    leads: dict[Identifier, Mark] = {}
    for link in past.links:
        if not link.nodes:
            for each in led(link):
                if is_earlier(lead_of(link), leads.get(each)):
                    leads[each] = lead_of(link)
            continue
        nodes = outcome.parts.groups[link.nodes[0]].nodes
        for each in link.devices:
            if each in past.decided.named and past.decided.keeps(each, nodes):
                outcome.apart.setdefault(link.message_id, []).append(each)
            elif each in marks:
                marks[each].append(mark_of(link))
    for join in past.decided.joins:
        for side, other in ((join.a, join.b), (join.b, join.a)):
            anchor = next((one for one in other if not is_device(one.type)), None)
            if anchor is not None and not any(not is_device(one.type) for one in side):
                for each in side:
                    if each in marks:
                        marks[each].append(Mark(join.at, join.decision_id, anchor))
    for each, all_marks in marks.items():
        before = past.devices.get(each) or Device("")
        outcome.devices[each] = Device(
            "",
            own=before.own,
            marks=turns(all_marks),
            lead=leads.get(each),
            shared=is_shared(all_marks),
            decided=each in past.decided.named,
        )


def _whose(link: Link, past: Past, outcome: Outcome) -> int | Identifier | Group | None:
    """The group that a message belongs to, or the device whose anonymous person it is."""
    if link.nodes:
        return outcome.parts.groups[link.nodes[0]]
    named = link.devices[0]
    device = outcome.devices.get(named) or past.devices.get(named)
    if device is not None and device.lead is not None and not device.marks:
        lead = device.lead
        whose = _holder(lead.anchor, lead.at, past, outcome)
        return named if _is_kept(named, lead.anchor, whose, past) else whose
    whose = _holder(named, link.at, past, outcome)
    for each in led(link):
        if _is_kept(each, named, whose, past):
            outcome.apart.setdefault(link.message_id, []).append(each)
    return whose


def _holder(
    named: Identifier, at: datetime, past: Past, outcome: Outcome
) -> Identifier | Group | None:
    """Whose a device is at an instant; the device itself: an anonymous person's."""
    device = outcome.devices.get(named) or past.devices.get(named)
    if device is None or not device.marks or device.shared:
        if device is not None and device.own and device.own not in past.people:
            outcome.strays.add(named)  # Its anonymous person has an id already.
        return named
    group = outcome.parts.groups.get(governing(device.marks, at).anchor)
    if group is None:
        outcome.strays.add(named)
    return group


def _hand_on(past: Past, outcome: Outcome) -> None:
    """What was told of an order is for who was named on it last."""
    numbers = {id(one.group): number for number, one in enumerate(outcome.found) if one.group}
    holders: dict[Identifier, Whose | None] = {}
    for link in past.links:
        for each in link.devices:
            if each.type == ORDER and each not in holders:
                group = _last_named(each, past, outcome)
                holders[each] = numbers.get(id(group))
        order = order_of(link) if link.message_id in past.sales else None
        if order is None or order in outcome.apart.get(link.message_id, ()):
            continue
        has = holders[order]
        if has is not None and has != outcome.whose.get(link.message_id):
            outcome.handed[link.message_id] = has


def _last_named(order: Identifier, past: Past, outcome: Outcome) -> Group | None:
    """Who was named on an order last, of several; everybody who was must have been read."""
    device = outcome.devices.get(order) or past.devices.get(order)
    if device is None or device.shared or len(device.marks) < 2:
        return None
    groups = [outcome.parts.groups.get(mark.anchor) for mark in device.marks]
    if None in groups:
        outcome.strays.add(order)
    return groups[-1]


def _is_kept(
    order: Identifier, device: Identifier, whose: Identifier | Group | None, past: Past
) -> bool:
    """Whether a decision keeps an order from who has the device that leads to it."""
    if order not in past.decided.named:
        return False
    nodes = whose.nodes if isinstance(whose, Group) else ()
    return past.decided.keeps(order, {device, *nodes})


def _put(
    outcome: Outcome,
    numbers: dict[int | Identifier, Whose],
    key: int | Identifier | Group,
    message_id: str,
) -> None:
    group = key if isinstance(key, Group) else None
    device = key if isinstance(key, Identifier) else None
    number = id(group) if group is not None else key
    assert not isinstance(number, Group)
    whose = numbers.get(number)
    if whose is None:
        whose = numbers[number] = len(outcome.found)
        outcome.found.append(Found(group, device))
    outcome.whose[message_id] = whose
    outcome.found[whose].messages.append(message_id)


def _give_ids(past: Past, outcome: Outcome) -> None:
    """Each id to the person of the message that made it; then our own messages follow."""
    born = {profile_id_of(link.message_id): link.message_id for link in past.links}
    holders: dict[str, Whose] = {}
    for profile_id in past.people:
        whose = outcome.whose.get(born.get(profile_id, ""))
        if whose is None:
            whose = _holder_of_most(profile_id, past, outcome)
        if whose is not None:
            holders[profile_id] = whose
            outcome.found[whose].profile_ids.append(profile_id)
    left = dict(past.steps)
    left |= {
        link.message_id: past.placed[link.message_id]
        for link in past.links
        if link.message_id not in outcome.whose
    }
    for message_id, named in left.items():
        whose = holders.get(named)
        if whose is not None:
            outcome.whose[message_id] = whose
            outcome.found[whose].messages.append(message_id)


def _holder_of_most(profile_id: str, past: Past, outcome: Outcome) -> Whose | None:
    """Who has an id whose own first message is not known any more."""
    held: dict[Whose, int] = {}
    for message_id, placed in past.placed.items():
        if placed == profile_id and message_id in outcome.whose:
            whose = outcome.whose[message_id]
            held[whose] = held.get(whose, 0) + 1
    if held:
        return max(held, key=lambda whose: (held[whose], -whose))
    into = past.people[profile_id].into
    return 0 if outcome.found and into is None else None


def firsts(links: Iterable[Link], parts: Partition) -> Mapping[Identifier, Link]:
    """By node the first message that named it, and had it accepted."""
    found: dict[Identifier, Link] = {}
    for link in links:
        for node in parts.accepted_of(link) if link.nodes else ():
            if node not in found or link.key < found[node].key:
                found[node] = link
    return found
