"""A customer as they were at a past instant, and asking for it: a part of their page."""

from datetime import UTC, datetime

from nicegui import ui

from services.console import words
from services.console.answers import Profile
from services.console.client import Trouble
from services.console.elements import Text, banner, box, card, empty, facts, link
from services.console.pages import habits, head, orders, shopping
from services.console.pages.visit import Visit


def ask(profile_id: str, at: datetime | None = None) -> None:
    """The form that asks for an instant; it works without a script as well."""
    with box("form", "inline", method="get", action=f"/customers/{profile_id}"):
        with box("div", "field"):
            Text("label", "As they were on (UTC)", for_="at")
            value = {"value": f"{at:%Y-%m-%dT%H:%M}"} if at else {}
            box("input", type="datetime-local", name="at", id="at", required="", **value)
        Text("button", "Show", "button", type="submit")
        if at is not None:
            link("Back to today", f"/customers/{profile_id}", "button")


async def build(visit: Visit) -> None:
    """``at`` of the address: a day and a time, in UTC unless it says otherwise."""
    profile_id = str(visit.parts["profile_id"])
    at = _instant(visit.query.get("at", ""))
    if at is None:
        Text("h1", "Customer")
        banner("Name a day and a time, such as 2026-03-01T12:00.")
        ask(profile_id)
        return
    try:
        profile = await visit.apis.profiles.profile(profile_id, at.isoformat())
    except Trouble as trouble:
        if trouble.status not in (404, 422):
            raise
        Text("h1", "Customer")
        banner(trouble.message)
        ask(profile_id, at)
        return
    name = words.name_of(profile)
    ui.page_title(f"{name} · Regulars")
    head.show(profile, name)
    ask(profile_id, at)
    said = "by all that is known today of what happened until then."
    Text("p", f"As of {words.moment(at)}, {said}", "banner mild", role="status")
    with box("div", "wide-and-narrow"):
        with box("div", "column"):
            orders.show(profile.orders)
            shopping.show_carts(profile)
            shopping.show_conversations(profile)
        with box("div", "column"):
            _traits(profile)
            habits.show(profile)
            _consent(profile)


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.strip())
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _traits(profile: Profile) -> None:
    with card("Traits"):
        if profile.traits:
            facts(
                (words.sentence(name), words.trait(value))
                for name, value in sorted(profile.traits.items())
            )
        else:
            empty("No traits were known.")


def _consent(profile: Profile) -> None:
    with card("Consent"):
        if profile.consent:
            facts(
                (words.code(key), f"{said.state} since {words.moment(said.at)}")
                for key, said in sorted(profile.consent.items())
            )
        else:
            empty("No consent was recorded.")
