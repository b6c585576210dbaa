"""Who is who, by the definitions alone: slow, over everything at once, in no clever order.

Written apart from ``services/profile/resolve``, so that the two can disagree.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import combinations, pairwise

Name = tuple[str, str]

MOST = {"user_id": 1}
MOST_OTHERS = 5
SHARED_NAMES, SHARED_TURNS = 5, 500
TRUST = ["user_id", "customer_id", "email", "phone", "loyalty_card", "contact_id", "email_sha256"]
DEVICES = ["anonymous_id", "device_id", "order"]


@dataclass(frozen=True)
class Said:
    """One message: its names, the most trusted first, devices last."""

    id: str
    at: datetime
    names: tuple[Name, ...]
    untrusted: bool = False

    @property
    def personal(self) -> list[Name]:
        names = (known_as(name) for name in self.names if name[0] not in DEVICES)
        return list(dict.fromkeys(names))

    @property
    def devices(self) -> list[Name]:
        return [name for name in self.names if name[0] in DEVICES]


def known_as(name: Name) -> Name:
    """An address goes by its hash, whoever writes it."""
    return ("email_sha256", sha256(name[1].encode()).hexdigest()) if name[0] == "email" else name


@dataclass(frozen=True)
class Ruling:
    """A decision: the names of ``a`` and of ``b`` are one person's, or never."""

    id: str
    at: datetime
    kind: str
    a: frozenset[Name]
    b: frozenset[Name]


@dataclass
class World:
    """The people: groups of names, and whose each message is."""

    splits: list[Ruling] = field(default_factory=list)
    groups: list[set[Name]] = field(default_factory=list)
    whose: dict[str, object] = field(default_factory=dict)
    accepted: dict[str, frozenset[Name]] = field(default_factory=dict)
    refused: set[tuple[tuple[Name, ...], bool]] = field(default_factory=set)
    """What was not believed: the names of a message, and whether anybody may have sent it."""
    has_order: dict[str, object] = field(default_factory=dict)
    """Of messages that tell of an order: who has it now, where anybody was named on it."""
    owns: Callable[[Name], object] = field(default=lambda name: None)
    """Whose a name is, or what a device says after all that was said."""

    def messages(self, name: Name) -> set[str]:
        """Those of whoever has a name or a device now."""
        owner = self.owns(name)
        return {message for message, person in self.whose.items() if person == owner}

    def people(self) -> set[frozenset[str]]:
        """The messages of each person."""
        by_person = defaultdict(set)
        for message, person in self.whose.items():
            by_person[person].add(message)
        return {frozenset(messages) for messages in by_person.values()}


def world_of(said: Sequence[Said], rulings: Iterable[Ruling] = ()) -> World:
    """Everything, from the definitions."""
    splits, joins = standing(rulings)
    world = World(splits)
    trusted_names: set[Name] = set()
    for join in joins:
        a, b = (sorted(n for n in side if n[0] not in DEVICES) for side in (join.a, join.b))
        if a and b:
            put_together(world, {first_of(a), first_of(b)})
    takes: dict[str, list[Name]] = {}
    for one in sorted(said, key=lambda one: (one.untrusted, one.at, one.id)):
        names = one.personal
        while len(names) > 1 and not may_be_one(world, names, splits, joins, one, trusted_names):
            names = names[:-1]
        takes[one.id] = names
        if names:
            put_together(world, set(names))
            if not one.untrusted:
                trusted_names |= set(names)
    somebodys = set[Name]().union(*takes.values())
    for one in said:
        names = one.personal
        if takes[one.id] != names and not is_open(world, names, len(takes[one.id]), somebodys):
            world.refused.add((tuple(names), one.untrusted))
    void = {
        (one.id, device)
        for one in said
        for device in one.devices
        if one.personal and keeps(splits, device, group_of(world, one.personal[0]))
    }

    def owns(name: Name) -> object:
        later = max(one.at for one in said) + timedelta(days=9_999)
        return person_of(world, Said("later", later, (name,)), said, void, joins)

    world.owns = owns
    for one in said:
        world.whose[one.id] = person_of(world, one, said, void, joins)
        world.accepted[one.id] = frozenset(takes[one.id]) | {
            device
            for device in one.devices
            if (one.id, device) not in void
            and (
                one.personal
                or device == one.devices[0]
                or not is_order(device)
                or not is_kept(world, device, one, (said, void, joins))
            )
        }
    for one in said:
        orders = [device for device in one.devices if is_order(device)]
        if orders and (one.personal or is_order(one.devices[0])):
            marks = marks_on(min(orders), said, void, joins)
            if marks and not is_shared(marks) and (one.id, min(orders)) not in void:
                has = frozenset(group_of(world, max(marks)[2]))
                if has in world.whose.values():
                    world.has_order[one.id] = has
    return world


def is_open(world: World, names: list[Name], taken: int, somebodys: set[Name]) -> bool:
    """Whether all that was let go is a second account, which nobody has."""
    second = [name for name in names if name[0] == "user_id"][1:]
    return names[taken:] == second and not group_of(world, second[0]) & somebodys


def standing(rulings: Iterable[Ruling]) -> tuple[list[Ruling], list[Ruling]]:
    """The splits and joins that no later contrary ruling has undone."""

    def sides(names: Iterable[Name]) -> frozenset[Name]:
        return frozenset(map(known_as, names))

    def undone(one: Ruling) -> bool:
        return any(
            other.kind != one.kind
            and (other.at, other.id) > (one.at, one.id)
            and ((one.a & other.a and one.b & other.b) or (one.a & other.b and one.b & other.a))
            for other in rulings
        )

    rulings = [replace(one, a=sides(one.a), b=sides(one.b)) for one in rulings]
    left = [one for one in rulings if not undone(one)]
    return [one for one in left if one.kind == "split"], [one for one in left if one.kind == "join"]


def first_of(names: list[Name]) -> Name:
    return min(names, key=lambda name: (TRUST.index(name[0]), name))


def group_of(world: World, name: Name) -> set[Name]:
    return next((group for group in world.groups if name in group), {name})


def put_together(world: World, names: set[Name]) -> None:
    touched = [group for group in world.groups if group & names]
    world.groups = [group for group in world.groups if not group & names]
    world.groups.append(names.union(*touched))


def apart(splits: list[Ruling], names: set[Name]) -> bool:
    return any(split.a & names and split.b & names for split in splits)


def keeps(splits: list[Ruling], device: Name, names: set[Name]) -> bool:
    """What joins have made one against a split still has each device that no split names."""
    return any(
        (device in split.a and names & split.b) or (device in split.b and names & split.a)
        for split in splits
    )


def may_be_one(world, names, splits, joins, one, trusted_names) -> bool:
    groups = [group for group in world.groups if group & set(names)]
    joined = set(names).union(*groups)
    if len(groups) == 1 and joined == groups[0]:
        return True
    if apart(splits, joined):
        return False
    for kind, count in counted(joined, joins).items():
        new = all(counted(group, joins).get(kind, 0) < count for group in groups)
        if new and count > MOST.get(kind, MOST_OTHERS):
            return False
    if one.untrusted:
        return sum(bool(group & trusted_names) for group in groups) < 2
    return True


def counted(names: set[Name], joins: list[Ruling]) -> dict[str, int]:
    """How many of each kind; user ids that a ruling has joined count as one."""
    classes = [{name} for name in names]
    for join in joins:
        users = {name for name in join.a | join.b if name[0] == "user_id"}
        classes.append(users)
    merged = True
    while merged:
        merged = False
        for one, other in combinations(classes, 2):
            if one & other:
                classes = [each for each in classes if each is not one and each is not other]
                classes.append(one | other)
                merged = True
                break
    counts: dict[str, int] = defaultdict(int)
    for each in classes:
        if each & names:
            counts[next(iter(each))[0]] += 1
    return counts


def person_of(world, one, said, void, joins):
    if one.personal:
        return frozenset(group_of(world, one.personal[0]))
    device = one.devices[0]
    marks = marks_on(device, said, void, joins)
    lead = lead_to(device, said)
    if lead and not marks and not is_kept(world, device, lead, (said, void, joins)):
        return person_of(world, lead, said, void, joins)
    if not marks or is_shared(marks):
        return device
    before = [mark for mark in marks if mark[0] <= one.at]
    name = max(before)[2] if before else min(marks)[2]
    return frozenset(group_of(world, name))


def lead_to(order, said):
    """The earliest message that names an order on a device, and nobody."""
    leads = [
        other
        for other in said
        if not other.personal and order in other.devices[1:] and other.devices[0][0] != "order"
    ]
    return min(leads, key=lambda one: (one.at, one.id), default=None) if is_order(order) else None


def is_order(name: Name) -> bool:
    return name[0] == "order"


def is_kept(world, order, lead, rest) -> bool:
    """Whether a ruling keeps an order from who named it on a device."""
    said, void, joins = rest
    whose = person_of(world, lead, said, void, joins)
    others = {lead.devices[0]} | (whose if isinstance(whose, frozenset) else set())
    return keeps(world.splits, order, others)


def marks_on(device, said, void, joins):
    marks = [
        (other.at, other.id, other.personal[0])
        for other in said
        if other.personal and device in other.devices and (other.id, device) not in void
    ]
    for join in joins:
        for side, other_side in ((join.a, join.b), (join.b, join.a)):
            names = sorted(name for name in other_side if name[0] not in DEVICES)
            if device in side and all(name[0] in DEVICES for name in side) and names:
                marks.append((join.at, join.id, first_of(names)))
    return marks


def is_shared(marks) -> bool:
    names = [mark[2] for mark in sorted(marks)]
    if 1 + sum(one != other for one, other in pairwise(names)) > SHARED_TURNS:
        return True
    for start in marks:
        window = [m for m in marks if start[0] <= m[0] <= start[0] + timedelta(days=30)]
        for kind in TRUST:
            if len({m[2] for m in window if m[2][0] == kind}) > SHARED_NAMES:
                return True
    return False
