"""Resolve's handler over a store in memory, for tests of who is who."""

from collections.abc import Collection, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

import msgspec

from schemas.messages import Identifier, Interaction
from services.profile.resolve.model import Changes, Decision, Device, Owner, Person, Stored
from services.profile.resolve.rules.kinds import is_device


class FakePeople:
    """What ``IdentityStore`` does, without a database. It hands out copies."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.by: dict[Identifier, Owner | Device] = {}
        self.all: dict[str, Person] = {}
        self.rulings: dict[str, Decision] = {}
        self.read = 0
        """How many interactions were read back."""
        self.written: set[Any] = set()
        """What the last turn wrote: ids of interactions and profiles, identifiers."""

    async def known(self, interaction_ids: Collection[str], session: Any) -> set[str]:
        return set(interaction_ids) & self.stored.keys()

    async def owners(
        self, nodes: Collection[Identifier], session: Any = None
    ) -> tuple[dict[Identifier, Owner], dict[Identifier, Device]]:
        found = {node: deepcopy(self.by[node]) for node in nodes if node in self.by}
        devices = {node: has for node, has in found.items() if is_device(node.type)}
        return {node: has for node, has in found.items() if node not in devices}, devices

    async def people(self, profile_ids: Collection[str], session: Any = None) -> dict[str, Person]:
        return {id: deepcopy(self.all[id]) for id in profile_ids if id in self.all}

    async def survivors(self, profile_ids: Collection[str], session: Any = None) -> dict[str, str]:
        return {id: self.all[id].into or id for id in profile_ids if id in self.all}

    async def latest(self, profile_ids: Collection[str], session: Any = None) -> datetime | None:
        times = [each.at for each in self.stored.values() if each.profile_id in profile_ids]
        return max(times, default=None)

    async def decisions(self, named: Collection[Identifier], session: Any = None) -> list[Decision]:
        return [one for one in self.rulings.values() if {*one.a, *one.b} & set(named)]

    async def interactions(self, profile_ids: Collection[str], session: Any = None):
        found = [each for each in self.stored.values() if each.profile_id in profile_ids]
        self.read += len(found)
        yield [(each.profile_id, each.body) for each in found]

    async def save(self, stored: Sequence[Stored], changes: Changes, session: Any) -> None:
        assert not changes.owners.keys() & self.by.keys(), "inserted twice"
        assert changes.moved.keys() <= self.by.keys(), "changed what is not there"
        persons = [person.profile_id for person in (*changes.created, *changes.changed)]
        self.written = {*changes.owners, *changes.moved, *persons, *changes.redirected}
        self.written |= {*changes.touched, *(one.interaction_id for one in changes.rewritten)}
        self.written |= {one.interaction_id for one in stored}
        created = {person.profile_id for person in changes.created}
        assert not created & self.all.keys(), "created twice"
        assert len(persons) == len({*persons}), "written twice"
        assert {*persons} - created <= self.all.keys(), "changed who is not there"
        for former, into in changes.absorbed.items():
            for has in self.by.values():
                if has.profile_id == former:
                    has.profile_id = into
        self.by |= deepcopy(changes.owners | changes.moved)
        for person in (*changes.created, *changes.changed):
            self.all[person.profile_id] = deepcopy(person)
        for member, into in changes.redirected.items():
            self.all[member].into = into
        for profile_id in changes.touched:
            self.all[profile_id].devices += 1
        self.rulings |= {one.decision_id: one for one in changes.decisions}
        self.stored |= {each.interaction_id: each for each in stored}
        self.stored |= {each.interaction_id: each for each in changes.rewritten}

    # -- what tests ask ------------------------------------------------------------------

    def living(self, profile_id: str) -> str:
        """The id that a profile goes by."""
        return self.all[profile_id].into or profile_id

    def histories(self) -> dict[str, set[str]]:
        """The messages of each person, by the id in use."""
        found: dict[str, set[str]] = {}
        for id, each in self.stored.items():
            found.setdefault(self.living(each.profile_id), set()).add(id)
        return found

    def shown(self) -> dict[str, frozenset[Identifier]]:
        """The identifiers that each message shows as its person's."""
        said = {
            id: msgspec.json.decode(each.body, type=Interaction) for id, each in self.stored.items()
        }
        for id, each in said.items():
            assert each.profile_id == self.stored[id].profile_id
        return {id: frozenset(each.identifiers) for id, each in said.items()}
