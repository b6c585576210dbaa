"""Two who may be one person: how they compare, what named both, and deciding."""

from functools import partial

from nicegui import ui

from services.console import words
from services.console.elements import Cell, Column, Text, box, card, facts, link, pill, table
from services.console.identities import Candidate, Compared, Suggestion
from services.console.pages.deciding import Deciding
from services.console.pages.suggestions import CORRECTIONS, field_of, name_of, score_of
from services.console.pages.visit import Visit

TITLE = "Perhaps one person"
_VERDICTS = {"accept": "They are one person", "reject": "They are two people"}


async def build(visit: Visit) -> None:
    """The pair of the address."""
    apis = visit.apis
    found = await apis.identities.suggestion(str(visit.parts["id"]))
    names = _names(found)
    who = " and ".join(names.values())
    ui.page_title(f"{who} · Regulars")
    with box("div", "title"):
        link("Perhaps one person", "/suggestions", "back")
        Text("h1", who)
    with box("div", "wide-and-narrow"):
        with box("div", "column"):
            _comparison(found, list(names.values()))
            _messages(found)
            with card("Decide"):
                Deciding(
                    partial(apis.identities.try_verdict, found.suggestion_id),
                    partial(apis.identities.give_verdict, found.suggestion_id),
                    verdicts=_VERDICTS,
                    named=names,
                )
        with box("div", "column first"):  # on a phone, before how they compare
            for one in found.people:
                _person(one, names[one.profile_id])


def _names(found: Suggestion) -> dict[str, str]:
    """What to call each, by profile id: with an identifier where both have one name."""
    names = {one.profile_id: name_of(one) for one in found.people}
    if len({*names.values()}) < len(names):
        for one in found.people:
            user_id = next((each.value for each in one.identifiers if each.type == "user_id"), "")
            names[one.profile_id] += f" ({user_id or one.profile_id})"
    return names


def _comparison(found: Suggestion, names: list[str]) -> None:
    columns = (
        Column("What"),
        *(Column(name) for name in names),
        Column("Compares"),
        Column("Bits", numeric=True, hint="Each bit doubles the odds, or halves them below zero"),
    )
    with card("How they compare"):
        if found.compared:
            table("How the two compare", columns, map(_compared, found.compared), "stack")
        else:
            Text("p", "Nothing of what can be compared is known of both.", "note")
        with box("div", "line"):
            Text("strong", "In all")
            pill(score_of(found))
        said = (
            "At least 99 of 100 such pairs are one person."
            if found.likely
            else ("That is not enough to say so: look at what else you know.")
        )
        Text("p", said, "note")


def _compared(one: Compared) -> list[Cell]:
    values = one.values or ["", ""]
    shown = [value or words.NOTHING for value in values]
    level = words.NOTHING if one.field in CORRECTIONS else one.level
    return [words.sentence(field_of(one.field)), *shown, level, f"{one.bits:+.1f}"]


def _messages(found: Suggestion) -> None:
    if not found.evidence and found.found_at is None:
        return
    with card("How they came here"):
        for refusal in found.evidence:
            named = ", ".join(f"{words.code(one.type)} {one.value}" for one in refusal.identifiers)
            with box("div", "merge"):
                Text("p", f"One message named {named}.")
                source = f" from {refusal.source}" if refusal.source else ""
                when = f"Message {refusal.message_id}{source}, {words.moment(refusal.at)}."
                Text("p", f"{when} {refusal.explanation}", "note")
        if found.found_at is not None:
            Text("p", f"Found by comparing everybody, {words.moment(found.found_at)}.", "note")


def _person(one: Candidate, name: str) -> None:
    with card(name):
        facts(
            [
                *((words.sentence(each.type), each.value) for each in one.identifiers),
                ("Interactions", words.count(one.interactions)),
                ("Orders", words.count(one.orders)),
                ("First seen", words.moment(one.first_seen)),
                ("Last seen", words.moment(one.last_seen)),
            ]
        )
        said = "Open the customer"
        link(said, f"/customers/{one.profile_id}", aria_label=f"{said} {name}")
