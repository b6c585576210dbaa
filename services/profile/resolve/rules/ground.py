"""What one batch touches of the identity graph: how it stands, and what is to be stored. Pure."""

from collections.abc import Iterable
from hashlib import blake2b

from schemas.messages import Identifier
from services.profile.resolve.model import Changes, Device, Held, Link, Owner, Person, Rearranged
from services.profile.resolve.rules.evidence import nodes_of
from services.profile.resolve.rules.needs import Known
from services.profile.resolve.rules.spelling import node_of

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_SHIFTS = range(90, -1, -10)


def profile_id_of(message_id: str) -> str:
    """The id of the person whose first message this is: 96 bits that say nothing else.

    In base 32 (RFC 4648, lower case, unpadded), two letters at a time: the standard library
    takes twice as long, and visitors come by the thousand.
    """
    digest = blake2b(message_id.encode(), digest_size=12).digest()
    bits = int.from_bytes(digest, "big") << 4
    return "p_" + "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


class Ground:
    """Identifiers, devices and persons, changed event by event; remembers what differs."""

    def __init__(self, known: Known) -> None:
        self.owners = known.owners
        self.devices = known.devices
        self.people = known.people
        self.decided = known.decided
        self.unsettled: dict[str, None] = {}
        """Persons that must be decided anew."""
        self.unsettled_devices: dict[Identifier, set[Identifier]] = {}
        """Devices that must be, and who was named on them in this batch."""
        self._new: set[Identifier] = set()
        self._created: dict[str, Person] = {}
        self._changed: dict[str, Person] = {}
        self._touched: dict[str, None] = {}
        self._dirty: dict[Identifier, None] = {}
        self._into: dict[str, str] = {}
        self._redirected: dict[str, str] = {}

    def survivor(self, profile_id: str) -> str:
        """The id that ``profile_id`` goes by after the merges of this batch."""
        while profile_id in self._into:
            profile_id = self._into[profile_id]
        return profile_id

    def changes(self) -> Changes:
        """What is to be stored, as it stands now."""
        changes = Changes(
            created=list(self._created.values()),
            changed=list(self._changed.values()),
            redirected=dict(self._redirected),
            absorbed={
                former: self.survivor(former)
                for former in self._into
                if self.people[former].devices
            },
        )
        for identifier in self._dirty:
            stands = self.owners.get(identifier) or self.devices[identifier]
            stands.profile_id = self.survivor(stands.profile_id)
            into = changes.owners if identifier in self._new else changes.moved
            into[identifier] = stands
        written = {*self._created, *self._changed}
        changes.touched = sorted({self.survivor(id_) for id_ in self._touched} - written)
        return changes

    def former(self, person: Person) -> Person:
        """A stored person as this batch has left it, before it is stored."""
        person.into = self._redirected.get(person.profile_id, person.into)
        person.devices += person.profile_id in self._touched
        return person

    def replace(self, result: Rearranged) -> None:
        """Take in what was decided anew."""
        for profile_id, person in result.people.items():
            self.people[profile_id] = person
            self._redirected.pop(profile_id, None)
            if profile_id in self._created or profile_id in result.created:
                self._created[profile_id] = person
            else:
                self._changed[profile_id] = person
        for ids in result.standing.values():
            for profile_id in ids:
                self._into.pop(profile_id, None)
        self._new |= result.fresh
        self.owners |= result.owners
        self.devices |= result.devices
        self._dirty.update(dict.fromkeys((*result.owners, *result.devices)))

    def _id(self, node: Identifier) -> str | None:
        owner = self.owners.get(node)
        return self.survivor(owner.profile_id) if owner and owner.profile_id else None

    def _nodes_of(self, person: Person) -> set[Identifier]:
        """The person's, with those that only a decision has made theirs so far."""
        return self.decided.joined(nodes_of(person))

    def _put_device(self, named: Identifier, device: Device, profile_id: str) -> None:
        if named not in self.devices:
            self._new.add(named)
        device.profile_id = profile_id
        self.devices[named] = device
        self._dirty[named] = None
        person = self.people.get(profile_id)
        if person is None:
            self._touched[profile_id] = None
        else:
            person.devices += 1
            self.touch(person)

    def _create(self, link: Link) -> Person:
        person = Person(profile_id_of(link.message_id), since=link.at)
        self.people[person.profile_id] = self._created[person.profile_id] = person
        return person

    def touch(self, person: Person) -> None:
        """The person is to be stored."""
        if person.profile_id not in self._created:
            self._changed[person.profile_id] = person

    def _restate(self, person: Person, helds: Iterable[Held]) -> None:
        """Say of these of the person's identifiers what now holds."""
        for held in helds:
            node = node_of(held.identifier)
            self.owners[node] = Owner(person.profile_id, held.unvouched, person.contested)
            self._dirty[node] = None
        self.touch(person)
