"""Why somebody is one person, and taking somebody else off them: a part of their page."""

from functools import partial

from services.console import words
from services.console.acting import asked
from services.console.answers import Identifier, Identity, Merge, Refused, Split
from services.console.client import Apis, Trouble
from services.console.elements import Text, banner, box, card
from services.console.pages.deciding import Deciding

_UNDONE = "Both are then as if they had never been one, and nothing that comes joins them again."
_TICKED = "Tick what is another person's. It is taken off, and nothing that comes joins it again."
_MOST = 10
"""Refused links that are shown."""
_JOINED = "Both are then one person, whatever the limits say. An undo takes it back."


def show(apis: Apis, profile_id: str, found: Identity | Trouble) -> None:
    """Their identifiers, each merge with a way to undo it, splits, and what did not link."""
    with card("Why this is one person"):
        if isinstance(found, Trouble):
            banner(found.message)
            return
        with box("ul", "identifiers"):
            for held in found.identifiers:
                with box("li"):
                    Text("span", words.code(held.type), "kind")
                    Text("span", held.value, "value")
                    source = f" from {held.source}" if held.source else ""
                    Text("span", f"since {words.moment(held.first_seen)}{source}", "note")
        if len(found.identifiers) > 1:
            _splitting(apis, profile_id, found)
        if not found.merges:
            Text("p", "Never merged with another profile.", "note")
        for number, merge in enumerate(found.merges):
            _merge(apis, profile_id, merge, number)
        for split in found.splits:
            _split(split)
        _refusals(found.refusals)
        _joining(apis, profile_id)


def _splitting(apis: Apis, profile_id: str, found: Identity) -> None:
    with asked("Some are somebody else's"):
        Deciding(
            partial(apis.identities.try_unmerge, profile_id),
            partial(apis.identities.unmerge, profile_id),
            place="names",
            hint=_TICKED,
            names=[Identifier(held.type, held.value) for held in found.identifiers],
        )


def _joining(apis: Apis, profile_id: str) -> None:
    with asked("Somebody else is this person"):
        Deciding(
            partial(apis.identities.try_merge, profile_id),
            partial(apis.identities.merge, profile_id),
            place="other",
            hint=_JOINED,
            other=True,
        )


def _merge(apis: Apis, profile_id: str, merge: Merge, number: int) -> None:
    with box("div", "merge"):
        Text("p", f"Merged with {merge.profile_id} on {words.moment(merge.at)}")
        evidence = f"{words.code(merge.evidence.type)} {merge.evidence.value}"
        Text("p", f"{merge.explanation} Shared: {evidence}.", "note")
        if merge.actor or merge.note:
            Text("p", _by(merge.actor, merge.note), "note")
        elif merge.message_id:
            Text("p", f"By message {merge.message_id}", "note")
        with asked("Undo this merge", f"with {merge.profile_id}"):
            Deciding(
                partial(apis.identities.try_unmerge, profile_id),
                partial(apis.identities.unmerge, profile_id),
                said={"merge": merge.profile_id},
                place=f"merge-{number}",
                hint=_UNDONE,
            )


def _split(split: Split) -> None:
    with box("div", "merge"):
        Text("p", f"Kept apart from somebody since {words.moment(split.at)}")
        Text("p", _by(split.actor, split.reason), "note")


def _refusals(refused: list[Refused]) -> None:
    """The latest first."""
    for one in sorted(refused, key=lambda one: (one.at, one.message_id), reverse=True)[:_MOST]:
        with box("div", "merge"):
            names = [f"{words.code(each.type)} {each.value}" for each in one.identifiers]
            kept, left = ", ".join(names[: one.kept]), ", ".join(names[one.kept :])
            Text("p", f"{left} was named with {kept}, and is not linked")
            Text("p", one.explanation, "note")
            source = f" from {one.source}" if one.source else ""
            Text("p", f"By message {one.message_id}{source}, {words.moment(one.at)}", "note")
    if len(refused) > _MOST:
        Text("p", f"And {len(refused) - _MOST} more that are not linked.", "note")


def _by(actor: str, why: str) -> str:
    said = f"Decided by {actor}" if actor else "Decided"
    return f"{said}: {why}" if why else said
