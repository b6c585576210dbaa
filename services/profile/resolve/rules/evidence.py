"""What persons and events show: their identifiers, what was refused, who is senior. Pure."""

from collections.abc import Collection, Iterable

from schemas.messages import Identifier
from services.profile.resolve.model import Key, Link, Person, Refusal
from services.profile.resolve.rules.spelling import node_of


def seniority(person: Person) -> tuple[bool, float, str]:
    """Who survives a merge: who has a user id; then who was first; then the smaller id."""
    known = any(held.type == "user_id" for held in person.identifiers)
    since = person.since or min((held.at for held in person.identifiers), default=None)
    return not known, since.timestamp() if since else 0.0, person.profile_id


def nodes_of(person: Person) -> set[Identifier]:
    return {node_of(held.identifier) for held in person.identifiers}


def vouched(person: Person) -> bool:
    return any(not held.unvouched for held in person.identifiers)


def known(refusals: Iterable[Refusal], link: Link) -> bool:
    """Whether the same was refused before, and as early."""
    return any(
        each.untrusted == link.untrusted
        and refused_key(each) <= link.key
        and [node_of(one) for one in each.identifiers] == link.nodes
        for each in refusals
    )


def left_open(link: Link, accepted: int) -> Identifier | None:
    """The account that an alias claims, where that alone was let go.

    An alias does not say which kind of id its ``previousId`` is. So it is read as a device and,
    from an authenticated source, as an account, too (``link_of``), of which one person has but
    one. Nothing was refused unless there is such an account: the device is linked.
    """
    let_go = link.nodes[accepted:]
    if link.rule != "alias" or len(let_go) != 1 or let_go[0].type != "user_id":
        return None
    return let_go[0] if Identifier("anonymous_id", let_go[0].value) in link.devices else None


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
