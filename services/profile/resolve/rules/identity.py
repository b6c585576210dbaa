"""Whose is an event? Deterministic identity resolution over one batch.

Segment's algorithm: look up the persons of the event's identifiers; where joining them
would break a limit, let the event's least trusted identifier go and look again; else they
are one person. Without limits in the way the outcome is the union-find over the
identifiers that were seen together, in whatever order the events come.
"""

from base64 import b32encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from schemas.messages import Identifier
from services.profile.resolve.model import (
    MOST,
    Attribution,
    Changes,
    Held,
    Link,
    Merge,
    Person,
)


def profile_id_of(message_id: str) -> str:
    """The id of the person whose first message this is: 96 bits that say nothing else."""
    digest = blake2b(message_id.encode(), digest_size=12).digest()
    return "p_" + b32encode(digest).decode().rstrip("=").lower()


def linking(links: Iterable[Link], owners: Mapping[Identifier, str]) -> set[str]:
    """The profiles that ``links`` may change, given who has which identifier.

    An event with one identifier, or whose identifiers all are one person's already,
    changes nobody: most events, so most persons need not be loaded.
    """
    profiles: set[str] = set()
    for link in links:
        if len(link.identifiers) > 1:
            found = {owners.get(identifier) for identifier in link.identifiers}
            if len(found) > 1:
                profiles.update(profile for profile in found if profile is not None)
    return profiles


class Graph:
    """The part of the identity graph that one batch touches, changed event by event.

    ``owners`` says who has each identifier of the batch; ``people`` holds at least those
    of ``linking``. Both are the caller's to give away: they are changed in place.
    """

    def __init__(self, owners: dict[Identifier, str], people: dict[str, Person]) -> None:
        self._owners = owners
        self._people = people
        self._created: dict[str, Person] = {}
        self._changed: dict[str, Person] = {}
        self._new: set[Identifier] = set()
        self._moved: set[Identifier] = set()
        self._into: dict[str, str] = {}
        self._redirected: dict[str, str] = {}

    def attribute(self, link: Link) -> Attribution:
        """Decide whose the event is, linking and merging where it says so."""
        owners = self._owners
        first = owners.get(link.identifiers[0])
        if first is not None:
            for identifier in link.identifiers:
                if owners.get(identifier) != first:
                    break
            else:
                return Attribution(first, link.identifiers, link.blocked)
        accepted, profiles = self._fitting(link)
        merges: Sequence[Merge] = ()
        if not profiles:
            person = self._create(link)
        else:
            person = profiles[0]
            if len(profiles) > 1:
                person = min(profiles, key=_seniority)
                merges = self._merge(person, profiles, accepted, link)
        self._add(person, accepted, link)
        ignored = link.identifiers[len(accepted) :] + link.blocked
        return Attribution(person.profile_id, accepted, ignored, merges)

    def survivor(self, profile_id: str) -> str:
        """The id that ``profile_id`` goes by after the merges of this batch."""
        while profile_id in self._into:
            profile_id = self._into[profile_id]
        return profile_id

    def changes(self) -> Changes:
        """What is to be stored, as it stands now."""
        return Changes(
            owners={identifier: self._owners[identifier] for identifier in self._new},
            moved={identifier: self._owners[identifier] for identifier in self._moved},
            created=list(self._created.values()),
            changed=list(self._changed.values()),
            redirected=dict(self._redirected),
        )

    def _fitting(self, link: Link) -> tuple[list[Identifier], list[Person]]:
        """As many of the identifiers as one person may have, and the persons they name."""
        accepted = list(link.identifiers)
        while True:
            found = dict.fromkeys(
                self._owners[identifier] for identifier in accepted if identifier in self._owners
            )
            people = [self._people[profile_id] for profile_id in found]
            if len(accepted) == 1 or _fits(people, accepted):
                return accepted, people
            accepted.pop()

    def _create(self, link: Link) -> Person:
        person = Person(profile_id_of(link.message_id))
        self._people[person.profile_id] = self._created[person.profile_id] = person
        return person

    def _touch(self, person: Person) -> None:
        if person.profile_id not in self._created:
            self._changed[person.profile_id] = person

    def _add(self, person: Person, identifiers: list[Identifier], link: Link) -> None:
        """Give the person those of ``identifiers`` that nobody has."""
        for identifier in identifiers:
            if identifier not in self._owners:
                self._owners[identifier] = person.profile_id
                self._new.add(identifier)
                person.identifiers.append(
                    Held(identifier.type, identifier.value, link.at, link.message_id, link.source)
                )
                self._touch(person)

    def _merge(
        self, survivor: Person, people: list[Person], shared: list[Identifier], link: Link
    ) -> list[Merge]:
        merges = []
        for person in people:
            if person is survivor:
                continue
            by = next(i for i in shared if self._owners.get(i) == person.profile_id)
            merge = Merge(
                from_=person.profile_id,
                into=survivor.profile_id,
                at=link.at,
                message_id=link.message_id,
                identifier=by,
                rule=link.rule,
            )
            self._absorb(survivor, person, merge)
            merges.append(merge)
        return merges

    def _absorb(self, survivor: Person, person: Person, merge: Merge) -> None:
        """``person`` keeps what it had, so that one can see, and undo, what was joined."""
        for held in person.identifiers:
            identifier = held.identifier
            self._owners[identifier] = survivor.profile_id
            if identifier not in self._new:
                self._moved.add(identifier)
        for member in person.members:
            if member in self._people:
                self._people[member].into = survivor.profile_id
                self._touch(self._people[member])
            else:
                self._redirected[member] = survivor.profile_id
        person.into = self._into[person.profile_id] = survivor.profile_id
        survivor.identifiers.extend(person.identifiers)
        survivor.members.extend((person.profile_id, *person.members))
        survivor.merges.extend((*person.merges, merge))
        self._touch(person)
        self._touch(survivor)


def _fits(people: list[Person], identifiers: list[Identifier]) -> bool:
    """Whether these people, with these identifiers, could be one person."""
    joined = {held.identifier for person in people for held in person.identifiers}
    joined.update(identifiers)
    counts = Counter(identifier.type for identifier in joined)
    return all(count <= MOST[kind] for kind, count in counts.items())


def _seniority(person: Person) -> tuple[bool, float, str]:
    """Who survives a merge: who has a user id; then who was first; then the smaller id."""
    known = any(held.type == "user_id" for held in person.identifiers)
    first = min((held.at.timestamp() for held in person.identifiers), default=0.0)
    return not known, first, person.profile_id
