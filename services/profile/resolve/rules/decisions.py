"""What people have decided of identity: that some are one person, or are not.

Of two decisions that contradict each other, the later one (time, id) holds.
"""

from collections.abc import Collection, Iterable

from msgspec import Struct, field

from schemas.messages import Identifier
from services.profile.resolve.model import Decision
from services.profile.resolve.rules.kinds import is_device

Side = frozenset[Identifier]


class Decided(Struct, frozen=True):
    """The decisions that hold."""

    splits: list[tuple[Side, Side]] = field(default_factory=list)
    joins: list[Decision] = field(default_factory=list)
    named: set[Identifier] = field(default_factory=set)
    """Every identifier that some decision names."""
    same: dict[Identifier, Identifier] = field(default_factory=dict)
    """Identifiers that joins have made to count as one -> the one they count as."""

    def parts(self, nodes: Collection[Identifier]) -> bool:
        """Whether a split keeps some of these from being one person's."""
        return any(not a.isdisjoint(nodes) and not b.isdisjoint(nodes) for a, b in self.splits)

    def keeps(self, one: Identifier, others: Collection[Identifier]) -> bool:
        """Whether a split keeps ``one`` from any of ``others``."""
        return any(
            (one in a and not b.isdisjoint(others)) or (one in b and not a.isdisjoint(others))
            for a, b in self.splits
        )

    def joined(self, nodes: Iterable[Identifier]) -> set[Identifier]:
        """``nodes``, and those that joins have made one person's with them."""
        found = set(nodes)
        left = [set(ends_of(join)) for join in self.joins]
        while met := [ends for ends in left if not ends.isdisjoint(found)]:
            found.update(*met)
            left = [ends for ends in left if ends not in met]
        return found

    def counted(self, node: Identifier) -> Identifier:
        """What ``node`` counts as."""
        while node in self.same:
            node = self.same[node]
        return node


NOTHING = Decided()


def ends_of(join: Decision) -> list[Identifier]:
    """What it makes one person's: of each side the first that names somebody.

    Of a device and a name: the name is somebody, also where no message may have it.
    """
    names = ([one for one in side if not is_device(one.type)] for side in (join.a, join.b))
    return [side[0] for side in names if side]


def decided(decisions: Iterable[Decision]) -> Decided:
    """What holds of ``decisions``, whatever order they come in."""
    inorder = sorted(decisions, key=lambda one: (one.at, one.decision_id))
    held = Decided()
    for number, one in enumerate(inorder):
        held.named.update(one.a, one.b)
        later = inorder[number + 1 :]
        if any(one.kind != other.kind and one.crosses(other) for other in later):
            continue
        if one.kind == "split":
            held.splits.append((frozenset(one.a), frozenset(one.b)))
            continue
        held.joins.append(one)
        users = [node for node in (*one.a, *one.b) if node.type == "user_id"]
        for user in users[1:]:
            into, from_ = held.counted(users[0]), held.counted(user)
            if into != from_:
                held.same[from_] = into
    return held
