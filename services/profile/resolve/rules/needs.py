"""What a batch has to know of people before it can be attributed. Pure.

An event that says nothing new changes nobody: most events, so most persons need not be loaded.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct, field

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Link, Owner, Person
from services.profile.resolve.rules.decisions import NOTHING, Decided
from services.profile.resolve.rules.devices import governing, settled_on


class Known(Struct):
    """What is stored, of all that a batch names. The caller gives it away."""

    owners: dict[Identifier, Owner] = field(default_factory=dict)
    devices: dict[Identifier, Device] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    """At least those of ``needed``."""
    latest: Mapping[Identifier, datetime | None] = field(default_factory=dict)
    """Of devices that change hands: when their holder's latest interaction was."""
    decided: Decided = NOTHING


class Needed(Struct):
    """What a batch needs beyond who has its identifiers."""

    people: set[str] = field(default_factory=set)
    holders: dict[Identifier, str] = field(default_factory=dict)
    """Devices that may change hands, and who has them."""
    anchors: set[Identifier] = field(default_factory=set)
    """Who was named on devices earlier."""


def needed(
    links: Iterable[Link],
    owners: Mapping[Identifier, Owner],
    devices: Mapping[Identifier, Device],
) -> Needed:
    """The persons whom ``links`` may change, and what else must be looked at."""
    need = Needed()
    for link in links:
        if not link.nodes:
            device = devices.get(link.devices[0])
            if device is not None and device.marks and link.at < device.marks[-1].at:
                need.anchors.add(governing(device.marks, link.at).anchor)
            continue
        if says_nothing_new(link, owners, devices):
            continue
        named = [owners[node].profile_id for node in link.nodes if node in owners]
        for each in link.devices:
            device = devices.get(each)
            if device is not None and not device.shared:
                named.append(device.profile_id)
                if device.marks:
                    need.holders[each] = device.profile_id
        need.people.update(profile_id for profile_id in named if profile_id)
    return need


def says_nothing_new(
    link: Link, owners: Mapping[Identifier, Owner], devices: Mapping[Identifier, Device]
) -> bool:
    """Whether all that an event names of persons and devices is one person's already."""
    first = owners.get(link.nodes[0])
    if first is None or not first.profile_id:
        return False
    for node in link.nodes:
        owner = owners.get(node)
        if owner is None or owner.profile_id != first.profile_id:
            return False
        if owner.unvouched and (owner.contested or not link.untrusted):
            return False  # Contested: it may be theirs by a decision, and not yet said.
    for each in link.devices:
        device = devices.get(each)
        if device is None or not settled_on(device, link.nodes[0], link):
            return False
    return True
