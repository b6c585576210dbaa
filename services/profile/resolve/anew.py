"""What a turn does where people were decided anew: into the graph, the batch, and the outbox."""

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from schemas.messages import Identifier, Interaction
from services.profile.consent.rules import speaks
from services.profile.resolve import outbox
from services.profile.resolve.model import Decision, Device, Person, Stored
from services.profile.resolve.rearranging import Component, Reader, Seeds
from services.profile.resolve.rules import interactions
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.interactions import rewritten
from services.runtime.turn import Message


class Anew(Struct):
    """What came of it."""

    moved: dict[str, Interaction] = field(default_factory=dict)
    """Stored interactions that show somebody or something else now, by id."""
    messages: list[Message] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    """Persons and devices (``<type>:<value>``) that differ now: what another worker attributed
    meanwhile may be wrong."""
    decisions: list[Decision] = field(default_factory=list)
    """Those that are not stored yet."""
    left: int = 0
    """How often too many people are connected: what came first stands."""

    @property
    def rewritten(self) -> list[Stored]:
        """What is to be stored of them."""
        return [
            interactions.stored(said, consent=speaks(said.name, bytes(said.event)))
            for said in self.moved.values()
        ]


async def decide_anew(
    reader: Reader,
    seeds: Seeds,
    batch: tuple[Sequence[Interaction], Graph],
    by: outbox.Evidence,
    anew: Anew | None = None,
) -> Anew:
    """Decide ``seeds`` and all who are connected with them; changes the graph and the drafts.

    ``anew`` is what came of others in the same turn; it is added to.
    """
    drafts, graph = batch
    anew, done = anew or Anew(), set[str]()
    anew.decisions += seeds.decisions
    for each in _apart(seeds):
        each.decisions = anew.decisions
        if each.people and each.people <= done:
            continue
        component = await reader.component(each, (drafts, anew.moved), graph)
        if component is None:
            anew.left += 1
            continue
        done |= component.past.people.keys()
        before = dict(component.past.people)
        graph.replace(component.result)
        _put_right(component, drafts, anew)
        changed = _changed(component, before)
        into = {
            member: profile_id
            for profile_id, ids in component.result.standing.items()
            for member in ids[1:]
        }
        anew.again |= changed | _handed_on(component)
        anew.messages += [
            outbox.rearranged(profile_id, into.get(profile_id), by)
            for profile_id in sorted(changed)
        ]
    return anew


def _apart(seeds: Seeds) -> Iterable[Seeds]:
    """One after the other; those that belong together are read once."""
    for decision in seeds.decisions:
        yield Seeds(decisions=[decision])
    for device, named in seeds.devices.items():
        yield Seeds(devices={device: named})
    for person in sorted(seeds.people):
        yield Seeds(people={person})


def _put_right(component: Component, drafts: Sequence[Interaction], anew: Anew) -> None:
    moved = component.result.moved
    for draft in drafts:
        if draft.interaction_id in moved:
            shown = moved[draft.interaction_id]
            draft.profile_id, draft.handed_to = shown.profile_id, shown.handed_to
            if draft.type != "message":
                draft.identifiers, draft.ignored = shown.accepted, shown.ignored
    for id_, shown in moved.items():
        said = component.stored.get(id_)
        if said is not None:
            anew.moved[id_] = rewritten(said, shown)


def _handed_on(component: Component) -> set[str]:
    """The devices that are somebody else's now, at some time, and where they led until now."""
    before = component.past.devices
    found: set[Identifier] = set()
    for each, device in component.result.devices.items():
        if each in before and _told_by(before[each]) != _told_by(device):
            lead = before[each].lead
            found |= {each} if lead is None else {each, lead.anchor}
    return {f"{each.type}:{each.value}" for each in found}


def _told_by(device: Device) -> tuple[object, ...]:
    return () if device.shared else (device.marks, device.lead)  # Shared it is nobody's.


def _changed(component: Component, before: dict[str, Person]) -> set[str]:
    """Every profile id whose keeper must read anew what belongs to it."""
    result, past = component.result, component.past
    holder = {id_: current for current, ids in result.standing.items() for id_ in ids}
    changed: set[str] = set()
    for id_, shown in result.moved.items():
        had = past.handed.get(id_)
        if shown.handed_to != had:
            changed |= {holder.get(each, each) for each in (shown.handed_to, had) if each}
        if id_ in component.stored:
            changed |= {holder.get(shown.profile_id, shown.profile_id)}
            placed = past.placed[id_]
            changed |= {holder.get(placed, placed), placed, before[placed].into or placed}
    revived = False
    for current, ids in result.standing.items():
        former = before.get(current)
        if former is not None and (former.into or sorted(former.members) != sorted(ids[1:])):
            changed.add(current)
            revived = revived or former.into is not None
        if former is None and len(ids) > 1:
            changed.add(current)
        changed |= {id_ for id_ in ids[1:] if before[id_].into != current}
    if revived or changed:
        # A redirect may lead over a profile that lives again.
        changed |= {id_ for ids in result.standing.values() for id_ in ids[1:]}
    return changed
