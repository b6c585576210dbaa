"""Who may be one person and is two: the queue for people to decide, the likeliest first."""

from urllib.parse import urlencode

from services.console import words
from services.console.elements import Cell, Column, Link, Pill, Text, box, empty, link, table
from services.console.identities import Candidate, LeftOut, Suggestion
from services.console.pages.visit import Visit

TITLE = "Perhaps one person"
PAGE = 25
_REASONS = 3
_COLUMNS = (
    Column("Who"),
    Column("Alike in"),
    Column("Not in"),
    Column("Score", numeric=True, hint="Bits of evidence; each bit doubles the odds"),
    Column("How sure", whole=True),
)
FIELDS = {
    "given": "given name",
    "family": "family name",
    "number": "house number",
    "region": "state",
    "household": "two given names at one address",
    "address": "parts of one address, counted once",
    "name": "names the other way round",
}
CORRECTIONS = ("household", "address")
"""What the score takes off because two of the fields above them say the same."""


async def build(visit: Visit) -> None:
    """``cursor``: of the page before."""
    cursor = visit.query.get("cursor", "")[:2_000]
    Text("h1", TITLE)
    Text(
        "p",
        "Two people with an account each never become one by themselves. These may be: somebody "
        "has to decide, and a decision can be taken back.",
        "lead",
    )
    found = await visit.apis.identities.suggestions(PAGE, cursor)
    _left_out(found.left_out)
    if not found.items:
        empty(
            "Nobody waits for a decision.",
            "regulars profile suggest --queue looks for more among all people.",
        )
        return
    with box("section", "card flush"):
        table("Suggestions, the likeliest first", _COLUMNS, map(_row, found.items), "stack")
    with box("nav", "pager", aria_label="Pages of the list"):
        if cursor:
            link("First page", "/suggestions", "button")
        if found.next:
            following = urlencode({"cursor": found.next})
            link("Next page", f"/suggestions?{following}", "button")


def _left_out(untold: LeftOut) -> None:
    """Nobody should take the queue for whole where it is not."""
    if untold.crowded and untold.searched_at is not None:
        Text(
            "p",
            f"The search of {words.moment(untold.searched_at)} left pairs out: "
            f"{words.count(untold.crowded)} people share something with too many to be compared "
            "with all of them. They were compared with those who share more.",
            "note",
        )
    if untold.overnamed > 1:
        Text(
            "p",
            f"{words.count(untold.overnamed)} people were named with so many others that not all "
            "is kept: pairs among them may be missing.",
            "note",
        )


def name_of(one: Candidate) -> str:
    """What to call them: their name, else what they are known by."""
    traits = one.traits
    full = " ".join(str(traits[part]) for part in ("firstName", "lastName") if traits.get(part))
    known = traits.get("name") or full or traits.get("email")
    return str(known or next((each.value for each in one.identifiers), one.profile_id))


def field_of(name: str) -> str:
    """What is compared, in words."""
    return FIELDS.get(name, words.code(name))


def score_of(one: Suggestion) -> Pill:
    """Good where such pairs nearly always are one person."""
    return Pill(f"{one.score:.1f}", "good" if one.likely else "plain")


def _row(one: Suggestion) -> list[Cell]:
    who = " and ".join(name_of(each) for each in one.people)
    return [
        Link(who, f"/suggestions/{one.suggestion_id}"),
        _fields(one, alike=True) or ("one message" if one.evidence else words.NOTHING),
        _fields(one, alike=False) or words.NOTHING,
        score_of(one),
        Pill("likely", "good") if one.likely else "",
    ]


def _fields(one: Suggestion, *, alike: bool) -> str:
    found = [
        ("" if each.level in ("same", "different") else f"{each.level} ") + field_of(each.field)
        for each in one.compared
        if (each.bits > 0) is alike and each.field not in CORRECTIONS
    ]
    return ", ".join(found[:_REASONS])
