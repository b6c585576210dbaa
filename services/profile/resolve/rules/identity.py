"""Whose is an event? Identity resolution over one batch, where its order cannot matter.

The people are a pure function of all edges (``people``), but most edges change nothing, or
only add: then the outcome is known from the persons concerned alone. Whatever may come out
otherwise in another order is decided provisionally, and named in ``unsettled``: it is to be
decided anew from the whole history (``people``).
"""

from collections.abc import Collection, Iterable, Sequence

from schemas.messages import Identifier
from services.profile.resolve.model import (
    MOST_REFUSALS,
    Attribution,
    Held,
    Link,
    Merge,
    Owner,
    Person,
    Refusal,
)
from services.profile.resolve.rules.evidence import (
    known,
    left_open,
    nodes_of,
    refused_key,
    said_of,
    seniority,
    shown,
    vouched,
)
from services.profile.resolve.rules.fitting import Obstacle, obstacle
from services.profile.resolve.rules.holding import Holding
from services.profile.resolve.rules.needs import says_nothing_new
from services.profile.resolve.rules.spelling import node_of


class Graph(Holding):
    """The part of the identity graph that one batch touches, changed event by event."""

    def attribute(self, link: Link) -> Attribution:
        """Decide whose the event is, linking and merging where it says so."""
        self._done.append(link)
        if not link.nodes:
            profile_id = self._of_nobody(link)
            return Attribution(profile_id, link.identifiers, link.blocked)
        if says_nothing_new(link, self.owners, self.devices):
            profile_id = self.owners[link.nodes[0]].profile_id
            return Attribution(profile_id, link.identifiers, link.blocked)
        return self._settle(link)

    def _settle(self, link: Link) -> Attribution:
        named = self._persons(link.nodes)
        accepted, people, because = self._fitting(link)
        before = list(people)
        account = self._open(link, len(accepted))
        because = because if account is None else None
        self._judge_order(link, named, accepted, because)
        free = self._strangers(link, people)
        if not people and not free:
            person = self._create(link)
        else:
            person = min([*people, *free], key=seniority)
        merges = self._merge(person, [*people, *free], link) if len(people) + len(free) > 1 else ()
        if free and person.decided:
            self.unsettled[person.profile_id] = None  # Of their orders one may be kept from them.
        self._add(person, accepted, link, joined=len(before) > 1)
        if because is not None:
            self._refuse(link, [person, *named], len(accepted), because)
        if account is not None:
            self._claim(account, person)
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
            groups = [self._nodes_of(person) for person in people]
            found = obstacle(groups, accepted, self.decided)
            if found is None and link.untrusted and sum(map(vouched, people)) > 1:
                found = "two_vouched"
            if found is None:
                return accepted, people, why
            why = why or found
            accepted.pop()

    def _open(self, link: Link, accepted: int) -> Identifier | None:
        """The account that an alias leaves open, where nobody has it."""
        account = left_open(link, accepted)
        return account if account is not None and self._id(account) is None else None

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
        if (
            because is not None
            and not known(refused, link)
            and any(person.connected is not None and person.connected > key for person in named)
        ):
            self._unsettle(named)  # It may have come before what it was refused for.
        connects = len({self._id(node) for node in accepted}) > 1
        if connects and (
            any(person.decided for person in named)  # A device may be kept from both together.
            or any(refused_key(each) > key for each in refused)
        ):
            self._unsettle(named)

    def _unsettle(self, people: list[Person]) -> None:
        if any(len(person.refusals) >= MOST_REFUSALS for person in people):
            return  # Too many claim one name: what came first stands.
        self.unsettled.update(dict.fromkeys(person.profile_id for person in people))

    def _strangers(self, link: Link, people: list[Person]) -> list[Person]:
        """The anonymous persons of devices on which nobody was named so far."""
        free: dict[str, Person] = {}
        for each in link.devices:
            device = self.devices.get(each)
            if (
                device
                and device.profile_id
                and not (device.marks or device.lead)
                and not (device.shared or device.decided)
            ):
                profile_id = self.survivor(device.profile_id)
                free[profile_id] = self.people[profile_id]
        for person in people:
            free.pop(person.profile_id, None)
        return list(free.values())

    def _add(self, person: Person, nodes: list[Identifier], link: Link, *, joined: bool) -> None:
        """Give the person those of ``nodes`` that nobody has, or that nobody has said."""
        fresh = [node for node in nodes if self._id(node) is None or self._is_unsaid(node, person)]
        for node in fresh:
            said = said_of(link, node)
            held = Held(
                said.type, said.value, link.at, link.message_id, link.source, link.untrusted
            )
            if node not in self.owners:
                self._new.add(node)
            else:  # Whose aliases claimed it: now they are two accounts.
                self.unsettled.update(dict.fromkeys(self.owners[node].claimed))
            self.owners[node] = Owner(person.profile_id, link.untrusted, person.contested)
            self._dirty[node] = None
            person.identifiers.append(held)
        if fresh:
            self.touch(person)
        if not self.decided.named.isdisjoint(fresh):
            # Somebody spoke of them before anybody had them.
            person.decided = True
            self._restate(person, person.identifiers)
            self.unsettled[person.profile_id] = None
        if joined or (fresh and len(nodes) > 1):
            person.connected = max(person.connected or link.key, link.key)
            person.bridged = person.bridged or link.untrusted
            self.touch(person)

    def _is_unsaid(self, node: Identifier, person: Person) -> bool:
        """Whether only a decision has made it the person's so far."""
        owner = self.owners[node]
        return owner.unvouched and owner.contested and node not in nodes_of(person)

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
            if known(person.refusals, link) or len(person.refusals) >= MOST_REFUSALS:
                continue
            person.refusals.append(refusal)
            self._restate(person, person.identifiers)

    def _claim(self, account: Identifier, person: Person) -> None:
        """Remember whose alias claims what nobody has."""
        if account not in self.owners:
            self.owners[account] = Owner("")
            self._new.add(account)
        owner = self.owners[account]
        if person.profile_id not in owner.claimed and len(owner.claimed) < MOST_REFUSALS:
            owner.claimed = tuple(sorted((*owner.claimed, person.profile_id)))
            self._dirty[account] = None

    def _vouch(self, person: Person, nodes: Collection[Identifier]) -> None:
        """An authenticated source has named these."""
        if any(self.owners[node].unvouched for node in nodes):
            for index, held in enumerate(person.identifiers):
                if held.unvouched and node_of(held.identifier) in nodes:
                    values = (held.type, held.value, held.at, held.message_id, held.source)
                    person.identifiers[index] = Held(*values)
            self._restate(person, person.identifiers)
        if person.bridged:
            others = {node_of(h.identifier) for h in person.identifiers if not h.unvouched}
            if not others <= set(nodes):
                self.unsettled[person.profile_id] = None

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
        survivor.devices += person.devices
        if person.connected is not None:
            survivor.connected = max(survivor.connected or person.connected, person.connected)
        self.touch(person)
        self._restate(survivor, moved)
