"""May these be one person's? The one test that every link has to pass. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from schemas.messages import Identifier
from services.profile.resolve.rules.decisions import Decided
from services.profile.resolve.rules.kinds import most

Obstacle = Literal["limit", "decision", "two_vouched"]


def obstacle(
    groups: Sequence[Collection[Identifier]], nodes: Iterable[Identifier], decided: Decided
) -> Obstacle | None:
    """What keeps ``groups`` and the further ``nodes`` from being one person's, if anything.

    A group that a decision has made too large stays as it is, and takes nothing more.
    """
    joined = set(nodes).union(*groups)
    if len(groups) == 1 and len(joined) == len(groups[0]):
        return None
    if decided.splits and decided.parts(joined):
        return "decision"
    counts = _counts(joined, decided)
    for kind, count in counts.items():
        if count > most(kind) and all(_counts(group, decided)[kind] < count for group in groups):
            return "limit"
    return None


def _counts(nodes: Iterable[Identifier], decided: Decided) -> Counter[str]:
    if decided.same:
        nodes = {decided.counted(node) for node in nodes}
    return Counter(node.type for node in nodes)
