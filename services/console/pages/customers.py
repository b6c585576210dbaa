"""Everybody whom the shop knows, the last seen first; with search."""

from urllib.parse import urlencode

from services.console import words
from services.console.answers import Profile
from services.console.elements import Cell, Column, Link, Text, box, empty, link, table
from services.console.pages.visit import Visit

TITLE = "Customers"
PAGE = 25
_COLUMNS = (
    Column("Customer"),
    Column("Known by"),
    Column("Last seen (UTC)", whole=True),
    Column("Orders", numeric=True, hint="Completed and not cancelled"),
    Column("Revenue", numeric=True, hint="Net of refunds and cancellations"),
)


async def build(visit: Visit) -> None:
    """``query``: what a name, email or user id begins with; ``cursor``: of the page before."""
    query = visit.query.get("query", "").strip()[:200]
    cursor = visit.query.get("cursor", "")[:2_000]
    Text("h1", TITLE)
    _search(query)
    found = await visit.apis.profiles.search(query, PAGE, cursor)
    if not found.items:
        _nobody(query)
        return
    with box("section", "card flush"):
        table("Customers, the last seen first", _COLUMNS, map(_row, found.items), "stack")
    with box("nav", "pager", aria_label="Pages of the list"):
        if cursor:
            link("First page", f"/customers?{urlencode({'query': query})}", "button")
        if found.next:
            following = urlencode({"query": query, "cursor": found.next})
            link("Next page", f"/customers?{following}", "button")


def _search(query: str) -> None:
    with box("form", "search", method="get", action="/customers", role="search"):
        Text("label", "Name, email or user id begins with", for_="query")
        with box("div", "search-line"):
            box("input", type="search", name="query", id="query", value=query, maxlength="200")
            Text("button", "Search", "button primary", type="submit")
            if query:
                link("Show everybody", "/customers", "button")


def _nobody(query: str) -> None:
    if query:
        empty(
            f"Nobody whose name, email or user id begins with “{query}”.",
            "Try the first letters only. Upper and lower case do not matter.",
        )
    else:
        empty(
            "Nobody is known yet.",
            "Send an identify call or an order to ingest, or run `regulars demo`.",
        )


def _row(profile: Profile) -> list[Cell]:
    name = words.name_of(profile)
    known = [words.identifier(profile, kind) for kind in ("email", "user_id")]
    seen = words.moment(profile.last_seen).removesuffix(" UTC")
    return [
        Link(name, f"/customers/{profile.profile_id}"),
        " · ".join(one for one in known if one and one != name) or _by(profile, name),
        seen,
        words.count(profile.order_count),
        words.moneys(profile.revenue),
    ]


def _by(profile: Profile, name: str) -> str:
    """For those without another name: by what they were named, or that they are anonymous."""
    if not profile.identifiers or all(one.type == "anonymous_id" for one in profile.identifiers):
        return "anonymous"
    return next((words.code(o.type) for o in profile.identifiers if o.value == name), words.NOTHING)
