"""From who the people are to what is to be stored of them: the least that must change. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from schemas.messages import Identifier
from services.profile.resolve.model import (
    MOST_REFUSALS,
    Decision,
    Held,
    Link,
    Merge,
    Owner,
    Person,
    Rearranged,
    Shown,
)
from services.profile.resolve.rules.decisions import Decided
from services.profile.resolve.rules.evidence import said_of, seniority, shown
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.kinds import is_device, rank
from services.profile.resolve.rules.partition import Group
from services.profile.resolve.rules.people import Found, Outcome, Past, firsts


def rearranged(past: Past, outcome: Outcome) -> Rearranged:
    """What to store, so that what is stored is the outcome."""
    result = Rearranged()
    links = {link.message_id: link for link in past.links}
    brought = firsts(past.links, outcome.parts)
    current: list[str] = []
    for found in outcome.found:
        current.append(_current(found, past, links))
        members = sorted({*found.profile_ids} - {current[-1]})
        result.standing[current[-1]] = [current[-1], *members]
        _describe(result, past, found, (current[-1], members), (brought, outcome))
    by_group = {
        id(found.group): result.people.get(profile_id) or past.people[profile_id]
        for found, profile_id in zip(outcome.found, current, strict=True)
        if found.group is not None
    }
    own = {
        found.device: profile_id
        for found, profile_id in zip(outcome.found, current, strict=True)
        if found.device is not None
    }
    _owners(result, past, outcome, (by_group, current))
    _devices(result, past, outcome, (by_group, own, _led(past, outcome, current)))
    for message_id, whose in outcome.whose.items():
        ids = result.standing[current[whose]]
        placed = past.placed[message_id]
        into = placed if placed in ids else current[whose]
        link = links.get(message_id)
        if link is None:
            if into != placed:
                result.moved[message_id] = Shown(into)
            continue
        nodes = outcome.parts.accepted_of(link) if link.nodes else []
        accepted, ignored = shown(link, nodes, outcome.apart.get(message_id, ()))
        had = past.handed.get(message_id)
        to = _handed_to(message_id, (outcome, current, result.standing), had)
        if into != placed or to != had or set(accepted) != set(past.shown[message_id]):
            result.moved[message_id] = Shown(into, accepted, ignored, to)
    return result


def _handed_to(
    message_id: str, who: tuple[Outcome, list[str], dict[str, list[str]]], had: str | None
) -> str | None:
    """A profile id of who has an order that was handed on: as it was told, while it is theirs."""
    outcome, current, standing = who
    has = outcome.handed.get(message_id)
    if has is None:
        return None
    return had if had in standing[current[has]] else current[has]


def _current(found: Found, past: Past, links: dict[str, Link]) -> str:
    """The id that everybody uses: a living one before others, the senior of several."""
    known = [past.people[profile_id] for profile_id in found.profile_ids]
    living = [person for person in known if person.into is None]
    if known:
        return min(living or known, key=seniority).profile_id
    first = min(
        (links[message_id] for message_id in found.messages if message_id in links),
        key=lambda link: (link.at, link.message_id),
    )
    return profile_id_of(first.message_id)


def _describe(
    result: Rearranged,
    past: Past,
    found: Found,
    ids: tuple[str, list[str]],
    evidence: tuple[Mapping[Identifier, Link], Outcome],
) -> None:
    """The person of ``ids``, and the redirects of its former ones."""
    profile_id, members = ids
    brought, outcome = evidence
    group = found.group or Group()
    helds = sorted(
        (_held(brought[node], node, outcome) for node in group.nodes if node in brought),
        key=lambda one: (one.at, one.message_id, rank(one.type), one.value),
    )
    before = past.people.get(profile_id)
    named = past.decided.named
    person = Person(
        profile_id,
        identifiers=helds,
        members=members,
        merges=_merges(past, ids, helds),
        since=before.since if before else min(_times(found, past.links), default=None),
        connected=group.connected,
        bridged=group.bridged,
        refusals=sorted(group.refusals, key=lambda one: (one.at, one.message_id))[:MOST_REFUSALS],
        decided=not named.isdisjoint(group.nodes),
        devices=before.devices if before else 1,
    )
    if before is None:
        result.created.add(profile_id)
    if before != person:
        result.people[profile_id] = person
    for member in members:
        former = past.people[member]
        if former.into != profile_id:
            result.people[member] = replace(former, into=profile_id)


def _times(found: Found, links: Iterable[Link]) -> list[datetime]:
    """When each of a person's messages happened."""
    messages = set(found.messages)
    return [link.at for link in links if link.message_id in messages]


def _held(link: Link, node: Identifier, outcome: Outcome) -> Held:
    said = said_of(link, node)
    unvouched = node not in outcome.parts.vouched
    return Held(said.type, said.value, link.at, link.message_id, link.source, unvouched)


def _merges(past: Past, ids: tuple[str, list[str]], helds: list[Held]) -> list[Merge]:
    """Why each former id is this person's: what was told of it, where that still holds."""
    profile_id, members = ids
    everyone = {profile_id, *members}
    told: dict[str, Merge] = {}
    for person in past.people.values():
        for merge in person.merges:
            if merge.from_ in everyone and merge.into in everyone:
                told.setdefault(merge.from_, merge)
    join = _join_of(past.decided, {held.identifier for held in helds})
    for member in members:
        if member not in told:
            found = _merge_of(member, profile_id, (join, past, helds))
            if found is not None:
                told[member] = found
    kept = [merge for from_, merge in told.items() if from_ != profile_id]
    return sorted(kept, key=lambda merge: (merge.at, merge.message_id, merge.from_))


def _join_of(decided: Decided, identifiers: set[Identifier]) -> Decision | None:
    joins = [
        join
        for join in decided.joins
        if not identifiers.isdisjoint(join.a) or not identifiers.isdisjoint(join.b)
    ]
    return max(joins, key=lambda join: (join.at, join.decision_id), default=None)


def _merge_of(
    member: str, into: str, evidence: tuple[Decision | None, Past, list[Held]]
) -> Merge | None:
    join, past, helds = evidence
    if join is not None:
        return Merge(
            member, into, join.at, join.decision_id, join.a[0], "decision", join.actor, join.reason
        )
    born = next((link for link in past.links if profile_id_of(link.message_id) == member), None)
    if born is not None:
        return Merge(member, into, born.at, born.message_id, born.identifiers[0], "late_evidence")
    if not helds:
        return None
    held = helds[0]
    return Merge(member, into, held.at, held.message_id, held.identifier, "late_evidence")


def _owners(
    result: Rearranged, past: Past, outcome: Outcome, people: tuple[dict[int, Person], list[str]]
) -> None:
    by_group, current = people
    named = {node for node in past.decided.named if not is_device(node.type)}
    claims = outcome.parts.claims
    for node in {*past.owners, *outcome.parts.groups, *claims, *named}:
        group = outcome.parts.groups.get(node)
        person = by_group.get(id(group)) if group is not None else None
        if person is None:
            refused = [each.message_id for each in group.refusals] if group is not None else []
            vain = {current[outcome.whose[id_]] for id_ in (*refused, *claims.get(node, ()))}
            owner = Owner("", False, node in named, tuple(sorted(vain)[:MOST_REFUSALS]))
        else:
            unvouched = node not in outcome.parts.vouched
            owner = Owner(person.profile_id, unvouched, person.contested)
        before = past.owners.get(node)
        if before != owner and (before is not None or owner != Owner("")):
            result.owners[node] = owner
            if before is None:
                result.fresh.add(node)


def _led(past: Past, outcome: Outcome, current: list[str]) -> dict[Identifier, str]:
    """Whose the orders are on which nobody is named, but that are led to a device."""
    found = {}
    for named in {*past.devices, *outcome.devices}:
        device = outcome.devices.get(named) or past.devices[named]
        if device.lead is None or device.marks:
            continue
        led_by = device.lead.message_id
        if led_by in outcome.whose and named not in outcome.apart.get(led_by, ()):
            found[named] = current[outcome.whose[led_by]]
    return found


def _devices(
    result: Rearranged,
    past: Past,
    outcome: Outcome,
    holders: tuple[dict[int, Person], dict[Identifier, str], dict[Identifier, str]],
) -> None:
    by_group, own, led = holders
    for named in {*past.devices, *outcome.devices}:
        before = past.devices.get(named)
        device = outcome.devices.get(named) or (before and replace(before))
        if device is None:
            continue
        device.own = own.get(named, device.own)
        if device.marks and not device.shared:
            group = outcome.parts.groups.get(device.marks[-1].anchor)
            person = by_group.get(id(group)) if group is not None else None
            if person is not None:
                device.profile_id = person.profile_id
            elif named in past.anew:
                device.profile_id = ""  # Whose it is has said nothing yet.
            else:
                device.profile_id = (before or device).profile_id
        elif named in led or named in own:
            device.profile_id = led.get(named) or own[named]
        if device != before:
            result.devices[named] = device
            if before is None:
                result.fresh.add(named)
            holder = device.profile_id
            person = result.people.get(holder) or past.people.get(holder)
            if person is not None:
                # Whoever is given a device is written, and known to have one: see the store.
                result.people[holder] = replace(person, devices=person.devices + 1)
