"""Who gets what changes by webhook: every subscription with its state, and a form for a new one."""

from services.console import words
from services.console.acting import Notice, choice, copying, field, form
from services.console.client import Apis
from services.console.elements import Cell, Column, Link, Pill, Text, box, card, empty, link, table
from services.console.pages.visit import Visit
from services.console.subscribed import Secret, Subscription

TITLE = "Webhooks"
STATES = {
    "active": Pill("active", "good"),
    "catching_up": Pill("catching up", "wait"),
    "failing": Pill("failing", "wait"),
    "disabled": Pill("disabled", "bad"),
}
_PROFILES = ["regulars.profile.changed.v1", "regulars.profile.erased.v1"]
_SEGMENTS = ["regulars.segment.entered.v1", "regulars.segment.exited.v1"]
KINDS = {"profiles": _PROFILES, "segments": _SEGMENTS, "both": [*_PROFILES, *_SEGMENTS]}
_WHAT = {
    "profiles": "Changes of profiles",
    "segments": "Who enters and leaves segments",
    "both": "Both",
}
_COLUMNS = (
    Column("Address"),
    Column("For"),
    Column("State"),
    Column("Waiting", numeric=True, hint="On their way; further ones wait on Kafka"),
    Column("Last arrived (UTC)", whole=True),
)


async def build(visit: Visit) -> None:
    """The oldest first."""
    Text("h1", TITLE)
    found = await visit.apis.webhooks.subscriptions()
    if found:
        with box("section", "card flush"):
            table("Subscriptions", _COLUMNS, map(_row, found), "stack")
    else:
        empty("Nobody gets webhooks yet.", "Subscribe an address of a team below.")
    _Creation(visit.apis)


def state(one: Subscription) -> Pill:
    """How it is doing."""
    return STATES.get(one.state, Pill(words.code(one.state)))


def show_once(secret: str) -> None:
    """A new secret. Nobody can ask for it again."""
    with box("div", "secret"):
        Text("p", "The secret that signs what is sent. Copy it now: it is not shown again.")
        Text("code", secret, tabindex="0")
        copying(secret)


def _row(one: Subscription) -> list[Cell]:
    return [
        Link(one.url, f"/webhooks/{one.id}"),
        one.description or words.NOTHING,
        state(one),
        words.count(one.waiting),
        words.moment(one.last_success_at).removesuffix(" UTC"),
    ]


class _Creation:
    """The form for a new subscription; after it, the secret, once."""

    def __init__(self, apis: Apis) -> None:
        self._apis = apis
        with card("New subscription"):
            with form(self._create, "inline"):
                field("Address", "url", type="url", required="", placeholder="https://...")
                choice("What", "what", _WHAT)
                field("Only changes of", "changed", placeholder="traits.plan, consent")
                field("Only segments", "segments", placeholder="vip")
                field("For", "description", maxlength="500")
                Text("button", "Subscribe", "button primary", type="submit")
            self._notice = Notice()
            self._made = box("div", "made", aria_live="polite")

    async def _create(self, given: dict[str, str]) -> None:
        body = {
            "url": given.get("url", ""),
            "types": KINDS.get(given.get("what", ""), _PROFILES),
            "changed": _listed(given.get("changed", "")),
            "segments": _listed(given.get("segments", "")),
            "description": given.get("description", ""),
        }
        made = await self._notice.tried(self._apis.webhooks.subscribe(body))
        if not isinstance(made, Secret):
            return
        self._made.clear()
        with self._made:
            show_once(made.secret)
            link("Go to the subscription", f"/webhooks/{made.id}", "button")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
