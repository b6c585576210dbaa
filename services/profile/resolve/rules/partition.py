"""Which personal identifiers are one person's: a pure function of all edges between them.

Decisions of people come first, then the edges of authenticated sources by (event time,
message id), then those of browsers and apps. Each joins what it names, unless that would give
one person too much (``fitting``); then its least trusted identifier is let go, and so on. An
edge that nobody authenticates never joins two groups that are both vouched for: of which an
authenticated source has named, and had accepted, some identifier.

Groups only grow, and so what was refused stays refused: of edges that name the same, only
the first matters.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from schemas.messages import Identifier
from services.profile.resolve.model import Key, Link, Refusal
from services.profile.resolve.rules.decisions import Decided, ends_of
from services.profile.resolve.rules.evidence import left_open, said_of
from services.profile.resolve.rules.fitting import Obstacle, obstacle

Combination = tuple[tuple[Identifier, ...], bool]
"""What edges have in common that say the same: their nodes, and whether they are untrusted."""


class Group(Struct, eq=False):
    """Identifiers that are one person's."""

    nodes: set[Identifier] = field(default_factory=set)
    connected: Key | None = None
    """The last edge that joined anything."""
    bridged: bool = False
    """Some of it is joined by edges that nobody authenticates."""
    refusals: list[Refusal] = field(default_factory=list)
    said: bool = False
    """Some message names it; otherwise decisions alone do."""


class Partition(Struct):
    """The outcome."""

    groups: dict[Identifier, Group] = field(default_factory=dict)
    vouched: set[Identifier] = field(default_factory=set)
    accepted: dict[Combination, int] = field(default_factory=dict)
    """How many nodes, from the first, of each combination are one person's."""
    claims: dict[Identifier, list[str]] = field(default_factory=dict)
    """Accounts that aliases leave open, and nobody has -> the messages that claim them."""

    def accepted_of(self, link: Link) -> list[Identifier]:
        """The nodes of a link that are one person's."""
        return link.nodes[: self.accepted[combination(link)]]


def combination(link: Link) -> Combination:
    """What ``link`` says, whenever it says it."""
    return tuple(link.nodes), link.untrusted


def partition(links: Iterable[Link], decided: Decided) -> Partition:
    """The groups of all nodes that ``links`` name."""
    firsts: dict[Combination, Link] = {}
    for link in links:
        if link.nodes:
            said = combination(link)
            if said not in firsts or link.key < firsts[said].key:
                firsts[said] = link
    found = Partition()
    for join in decided.joins:
        ends = ends_of(join)
        if ends:
            _join(found, ends)
    refused: list[tuple[Link, int, Obstacle]] = []
    for link in sorted(firsts.values(), key=lambda one: one.key):
        accepted, because = _fitting(found, link, decided)
        _take(found, link, accepted)
        found.accepted[combination(link)] = len(accepted)
        if because is not None:
            refused.append((link, len(accepted), because))
    for link, count, because in refused:
        account = left_open(link, count)
        if account is None or _is_somebodys(found, account):
            _tell(found, link, count, because)
        else:
            found.claims.setdefault(account, []).append(link.message_id)
    return found


def _is_somebodys(found: Partition, node: Identifier) -> bool:
    group = found.groups.get(node)
    return group is not None and group.said


def _fitting(
    found: Partition, link: Link, decided: Decided
) -> tuple[list[Identifier], Obstacle | None]:
    accepted, why = list(link.nodes), None
    while len(accepted) > 1:
        groups = _groups(found, accepted)
        because = obstacle([group.nodes for group in groups], accepted, decided)
        if because is None and link.untrusted:
            known = [group for group in groups if not group.nodes.isdisjoint(found.vouched)]
            because = "two_vouched" if len(known) > 1 else None
        if because is None:
            break
        why = why or because
        accepted.pop()
    return accepted, why


def _groups(found: Partition, nodes: Iterable[Identifier]) -> list[Group]:
    groups: dict[int, Group] = {}
    for node in nodes:
        group = found.groups.get(node)
        if group is not None:
            groups[id(group)] = group
    return list(groups.values())


def _join(found: Partition, nodes: Iterable[Identifier]) -> Group:
    """The one group of ``nodes`` from now on."""
    nodes = list(nodes)
    groups = _groups(found, nodes)
    group = max(groups, key=lambda one: len(one.nodes)) if groups else Group()
    group.nodes.update(nodes)
    for other in groups:
        group.nodes |= other.nodes
    found.groups.update(dict.fromkeys(group.nodes, group))
    return group


def _take(found: Partition, link: Link, accepted: list[Identifier]) -> None:
    groups = _groups(found, accepted)
    joins = len(accepted) > 1 and (
        len(groups) != 1 or any(node not in groups[0].nodes for node in accepted)
    )
    group = _join(found, accepted)
    group.said = True
    if joins:  # Links come in the order of their keys: of all that joined, this is the last,
        group.connected = link.key
        group.bridged = link.untrusted  # and those that nobody authenticates come after others.
    if not link.untrusted:
        found.vouched.update(accepted)


def _tell(found: Partition, link: Link, count: int, because: Obstacle) -> None:
    refusal = Refusal(
        identifiers=[said_of(link, node) for node in link.nodes],
        accepted=count,
        because=because,
        at=link.at,
        message_id=link.message_id,
        source=link.source,
        untrusted=link.untrusted,
    )
    for group in _groups(found, link.nodes):
        group.refusals.append(refusal)
