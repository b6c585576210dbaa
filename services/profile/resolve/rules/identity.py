"""Whose is an event? Identity resolution over one batch, where its order cannot matter.

The people are a pure function of all edges (``people``), but most edges change nothing, or
only add: then the outcome is known from the persons concerned alone. Whatever may come out
otherwise in another order is decided provisionally, and named in ``unsettled``: it is to be
decided anew from the whole history (``people``).
"""

from base64 import b32encode
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b

from schemas.messages import Identifier
from services.profile.resolve.model import (
    MOST_REFUSALS,
    Attribution,
    Changes,
    Device,
    Held,
    Key,
    Link,
    Merge,
    Owner,
    Person,
    Rearranged,
    Refusal,
)
from services.profile.resolve.rules.devices import governing, has_many_names, mark_of, place
from services.profile.resolve.rules.fitting import Obstacle, obstacle
from services.profile.resolve.rules.kinds import SHARED_TURNS
from services.profile.resolve.rules.needs import Known, says_nothing_new
from services.profile.resolve.rules.spelling import node_of


def profile_id_of(message_id: str) -> str:
    """The id of the person whose first message this is: 96 bits that say nothing else."""
    digest = blake2b(message_id.encode(), digest_size=12).digest()
    return "p_" + b32encode(digest).decode().rstrip("=").lower()


class Graph:
    """The part of the identity graph that one batch touches, changed event by event."""

    def __init__(self, known: Known) -> None:
        self.owners = known.owners
        self.devices = known.devices
        self.people = known.people
        self.decided = known.decided
        self.unsettled: dict[str, None] = {}
        """Persons that must be decided anew."""
        self.unsettled_devices: dict[Identifier, set[str]] = {}
        """Devices that must be, and who was named on them in this batch."""
        self.taken: dict[Identifier, None] = {}
        """Devices that changed hands."""
        self._latest = known.latest
        self._new: set[Identifier] = set()
        self._created: dict[str, Person] = {}
        self._changed: dict[str, Person] = {}
        self._touched: dict[str, None] = {}
        self._dirty: dict[Identifier, None] = {}
        self._into: dict[str, str] = {}
        self._redirected: dict[str, str] = {}
        self._done: list[Link] = []

    def attribute(self, link: Link) -> Attribution:
        """Decide whose the event is, linking and merging where it says so."""
        self._done.append(link)
        if not link.nodes:
            profile_id = self._of_device(link)
            return Attribution(profile_id, link.identifiers, link.blocked)
        if says_nothing_new(link, self.owners, self.devices):
            profile_id = self.owners[link.nodes[0]].profile_id
            return Attribution(profile_id, link.identifiers, link.blocked)
        return self._settle(link)

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

    # -- devices -------------------------------------------------------------------------

    def _of_device(self, link: Link) -> str:
        """Whose a message is that names nobody."""
        named = link.devices[0]
        device = self.devices.get(named)
        if device is None or not device.profile_id:
            person = self._create(link)
            self._put_device(named, device or Device(""), person.profile_id)
            self.devices[named].own = person.profile_id
            return person.profile_id
        if device.marks and not device.shared and link.at < device.marks[-1].at:
            owner = self.owners.get(governing(device.marks, link.at).anchor)
            if owner is not None and owner.profile_id:
                return self.survivor(owner.profile_id)
            self.unsettled_devices.setdefault(named, set())
        return self.survivor(device.profile_id) if self._into else device.profile_id

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

    def _mark(self, named: Identifier, link: Link, profile_id: str) -> bool:
        """The link's person was seen on a device; False where a decision keeps them apart."""
        device = self.devices.get(named)
        mark = mark_of(link)
        if device is None:
            self._put_device(named, Device(profile_id, marks=[mark]), profile_id)
            return True
        if device.shared:
            return True
        if device.decided:
            if self._apart(named, profile_id):
                return False
            self._doubt(named, profile_id)
            return True
        marks = device.marks
        if not marks:
            marks.append(mark)
            self._put_device(named, device, profile_id)
            return True
        self._take_turn(named, device, link, profile_id)
        return True

    def _take_turn(self, named: Identifier, device: Device, link: Link, profile_id: str) -> None:
        """A mark on a device that has marks."""
        marks, mark = device.marks, mark_of(link)
        before = place(marks, mark)
        same = marks[max(before, 0)].anchor == mark.anchor
        many = has_many_names([*marks, mark]) or len(marks) >= SHARED_TURNS
        if many and (before < len(marks) - 1 or not same):
            self._doubt(named, profile_id)
        elif same:
            if before < 0:
                marks[0] = mark
                self._dirty[named] = None
        elif before == len(marks) - 1 and self._is_quiet(named, link):
            marks.append(mark)
            self.taken[named] = None
            self._put_device(named, device, profile_id)
        else:
            self._doubt(named, profile_id)

    def _doubt(self, named: Identifier, profile_id: str) -> None:
        self.unsettled_devices.setdefault(named, set()).add(profile_id)

    def _is_quiet(self, named: Identifier, link: Link) -> bool:
        """Whether nothing is known of the device's holder from the time of the link on."""
        latest = self._latest.get(named, link.at)
        if latest is not None and latest >= link.at:
            return False
        earlier = self._done[:-1]
        return not any(done.at >= link.at and named in done.devices for done in earlier)

    def _apart(self, named: Identifier, profile_id: str) -> bool:
        person = self.people.get(profile_id)
        nodes = _nodes(person) if person is not None else set()
        return self.decided.parts({named, *nodes})

    # -- persons -------------------------------------------------------------------------

    def _settle(self, link: Link) -> Attribution:
        named = self._persons(link.nodes)
        accepted, people, because = self._fitting(link)
        before = list(people)
        self._judge_order(link, named, accepted, because)
        free = self._strangers(link, people)
        if not people and not free:
            person = self._create(link)
        else:
            person = min([*people, *free], key=seniority)
        merges = self._merge(person, [*people, *free], link) if len(people) + len(free) > 1 else ()
        self._add(person, accepted, link, joined=len(before) > 1)
        if because is not None:
            self._refuse(link, [person, *named], len(accepted), because)
        if not link.untrusted:
            self._vouch(person, accepted)
        ignored = [each for each in link.devices if not self._mark(each, link, person.profile_id)]
        return Attribution(person.profile_id, *shown(link, accepted, ignored), merges)

    def _persons(self, nodes: Iterable[Identifier]) -> list[Person]:
        """Who has these, each once."""
        found: dict[str, None] = {}
        for node in nodes:
            owner = self.owners.get(node)
            if owner is not None and owner.profile_id:
                found[self.survivor(owner.profile_id)] = None
        return [self.people[profile_id] for profile_id in found]

    def _fitting(self, link: Link) -> tuple[list[Identifier], list[Person], Obstacle | None]:
        """As many of the nodes as one person may have, the persons they name, and why no more."""
        accepted, why = list(link.nodes), None
        while True:
            people = self._persons(accepted)
            if len(accepted) == 1:
                return accepted, people, why
            found = obstacle([_nodes(person) for person in people], accepted, self.decided)
            if found is None and link.untrusted and sum(map(_vouched, people)) > 1:
                found = "two_vouched"
            if found is None:
                return accepted, people, why
            why = why or found
            accepted.pop()

    def _judge_order(
        self,
        link: Link,
        named: list[Person],
        accepted: list[Identifier],
        because: Obstacle | None,
    ) -> None:
        """Note whose history must be read, since another order might have ended otherwise."""
        key = link.key
        refused = [each for person in named for each in person.refusals]
        if because is not None and not _known(refused, link):
            settled = all(person.connected is None or person.connected < key for person in named)
            if not settled:
                self._unsettle(named)
        connects = len(accepted) > 1 and (
            len({self._id(node) for node in accepted}) > 1 or self._id(accepted[0]) is None
        )
        after_all = all(refused_key(each) < key for each in refused)
        if refused and not after_all:
            effective = [person.connected for person in named if person.connected is not None]
            if connects or (
                len(accepted) > 1 and because is None and any(done >= key for done in effective)
            ):
                self._unsettle(named)

    def _unsettle(self, people: list[Person]) -> None:
        if any(len(person.refusals) >= MOST_REFUSALS for person in people):
            return  # Too many claim one name: what came first stands.
        self.unsettled.update(dict.fromkeys(person.profile_id for person in people))

    def _id(self, node: Identifier) -> str | None:
        owner = self.owners.get(node)
        return self.survivor(owner.profile_id) if owner and owner.profile_id else None

    def _strangers(self, link: Link, people: list[Person]) -> list[Person]:
        """The anonymous persons of devices on which nobody was named so far."""
        free: dict[str, Person] = {}
        for each in link.devices:
            device = self.devices.get(each)
            if (
                device
                and device.profile_id
                and not device.marks
                and not (device.shared or device.decided)
            ):
                profile_id = self.survivor(device.profile_id)
                free[profile_id] = self.people[profile_id]
        for person in people:
            free.pop(person.profile_id, None)
        return list(free.values())

    def _create(self, link: Link) -> Person:
        person = Person(profile_id_of(link.message_id), since=link.at)
        self.people[person.profile_id] = self._created[person.profile_id] = person
        return person

    def touch(self, person: Person) -> None:
        """The person is to be stored."""
        if person.profile_id not in self._created:
            self._changed[person.profile_id] = person

    def _add(self, person: Person, nodes: list[Identifier], link: Link, *, joined: bool) -> None:
        """Give the person those of ``nodes`` that nobody has."""
        fresh = [node for node in nodes if self._id(node) is None]
        for node in fresh:
            said = said_of(link, node)
            held = Held(
                said.type, said.value, link.at, link.message_id, link.source, link.untrusted
            )
            if node not in self.owners:
                self._new.add(node)
            self.owners[node] = Owner(person.profile_id, link.untrusted, person.contested)
            self._dirty[node] = None
            person.identifiers.append(held)
        if fresh:
            self.touch(person)
        if joined or (fresh and len(nodes) > 1):
            person.connected = max(person.connected or link.key, link.key)
            person.bridged = person.bridged or link.untrusted
            self.touch(person)

    def _refuse(self, link: Link, people: list[Person], accepted: int, because: Obstacle) -> None:
        refusal = Refusal(
            identifiers=[said_of(link, node) for node in link.nodes],
            accepted=accepted,
            because=because,
            at=link.at,
            message_id=link.message_id,
            source=link.source,
            untrusted=link.untrusted,
        )
        for person in {self.survivor(each.profile_id): each for each in people}.values():
            person = self.people[self.survivor(person.profile_id)]
            if _known(person.refusals, link) or len(person.refusals) >= MOST_REFUSALS:
                continue
            person.refusals.append(refusal)
            self._restate(person, person.identifiers)

    def _vouch(self, person: Person, nodes: Collection[Identifier]) -> None:
        """An authenticated source has named these."""
        if any(self.owners[node].unvouched for node in nodes):
            for index, held in enumerate(person.identifiers):
                if held.unvouched and node_of(held.identifier) in nodes:
                    values = (held.type, held.value, held.at, held.message_id, held.source)
                    person.identifiers[index] = Held(*values)
            self._restate(person, person.identifiers)
        if person.bridged:
            vouched = {node_of(h.identifier) for h in person.identifiers if not h.unvouched}
            if not vouched <= set(nodes):
                self.unsettled[person.profile_id] = None

    def _restate(self, person: Person, helds: Iterable[Held]) -> None:
        """Say of these of the person's identifiers what now holds."""
        for held in helds:
            node = node_of(held.identifier)
            self.owners[node] = Owner(person.profile_id, held.unvouched, person.contested)
            self._dirty[node] = None
        self.touch(person)

    def _merge(self, survivor: Person, people: Sequence[Person], link: Link) -> list[Merge]:
        merges = []
        for person in people:
            if person is not survivor:
                merge = Merge(
                    from_=person.profile_id,
                    into=survivor.profile_id,
                    at=link.at,
                    message_id=link.message_id,
                    identifier=self._evidence(link, person),
                    rule=link.rule,
                )
                self._absorb(survivor, person, merge)
                merges.append(merge)
        return merges

    def _evidence(self, link: Link, person: Person) -> Identifier:
        for node in link.nodes:
            if self._id(node) == person.profile_id:
                return said_of(link, node)
        for each in link.devices:
            device = self.devices.get(each)
            if device and self.survivor(device.profile_id) == person.profile_id:
                return each
        return link.identifiers[0]

    def _absorb(self, survivor: Person, person: Person, merge: Merge) -> None:
        """``person`` keeps what it had, so that one can see, and undo, what was joined."""
        for member in person.members:
            if member in self.people:
                self.people[member].into = survivor.profile_id
                self.touch(self.people[member])
            else:
                self._redirected[member] = survivor.profile_id
        person.into = self._into[person.profile_id] = survivor.profile_id
        moved = list(person.identifiers)
        if person.contested != survivor.contested:
            moved += survivor.identifiers
        survivor.identifiers.extend(person.identifiers)
        survivor.members.extend((person.profile_id, *person.members))
        survivor.merges.extend((*person.merges, merge))
        survivor.refusals.extend(each for each in person.refusals if each not in survivor.refusals)
        survivor.decided = survivor.decided or person.decided
        survivor.bridged = survivor.bridged or person.bridged
        if person.connected is not None:
            survivor.connected = max(survivor.connected or person.connected, person.connected)
        self.touch(person)
        self._restate(survivor, moved)


def seniority(person: Person) -> tuple[bool, float, str]:
    """Who survives a merge: who has a user id; then who was first; then the smaller id."""
    known = any(held.type == "user_id" for held in person.identifiers)
    since = person.since or min((held.at for held in person.identifiers), default=None)
    return not known, since.timestamp() if since else 0.0, person.profile_id


def _nodes(person: Person) -> set[Identifier]:
    return {node_of(held.identifier) for held in person.identifiers}


def _vouched(person: Person) -> bool:
    return any(not held.unvouched for held in person.identifiers)


def _known(refusals: Iterable[Refusal], link: Link) -> bool:
    """Whether the same was refused before, and as early."""
    return any(
        each.untrusted == link.untrusted
        and refused_key(each) <= link.key
        and [node_of(one) for one in each.identifiers] == link.nodes
        for each in refusals
    )


def refused_key(refusal: Refusal) -> Key:
    """The place of a refused edge among the edges."""
    return int(refusal.untrusted), refusal.at, refusal.message_id


def said_of(link: Link, node: Identifier) -> Identifier:
    """The identifier that an event named a node by."""
    return next(each for each in link.identifiers if node_of(each) == node)


def shown(
    link: Link, nodes: Collection[Identifier], apart: Collection[Identifier]
) -> tuple[list[Identifier], list[Identifier]]:
    """(accepted, ignored) of an event's identifiers: ``nodes`` were accepted, ``apart`` not."""
    if len(nodes) == len(link.nodes) and not apart:
        return link.identifiers, link.blocked
    accepted = [
        each
        for each in link.identifiers
        if each not in apart and (each in link.devices or node_of(each) in nodes)
    ]
    ignored = [each for each in link.identifiers if each not in accepted]
    return accepted, ignored + link.blocked
