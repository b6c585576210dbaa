"""Who sends events: every source with what it sent in the last day, and a form for a new one."""

import re

from services.console import words
from services.console.acting import Notice, choice, field, form
from services.console.arrivals import Source
from services.console.client import Apis, Trouble
from services.console.elements import Cell, Column, Link, Pill, Text, box, card, empty, link, table
from services.console.pages import credentials
from services.console.pages.visit import Visit

TITLE = "Sources"
KINDS = {
    "server": "a server",
    "browser": "web pages",
    "mobile": "an app",
    "store": "tills",
    "history": "imported history",
    "shopify": "Shopify",
    "woocommerce": "WooCommerce",
    "webhook": "any signed webhook",
    "sendgrid": "SendGrid",
    "ses": "Amazon SES",
    "mailgun": "Mailgun",
    "postmark": "Postmark",
    "chatwoot": "Chatwoot",
    "intercom": "Intercom",
    "meta": "Messenger and Instagram",
    "mail": "mail that people write",
}
WITH_KEYS = ("server", "browser", "mobile", "store", "history")
"""Kinds that send with a write key; providers sign what they send."""
_NAME = re.compile(r"[a-z0-9-]{1,60}")
_COLUMNS = (
    Column("Source"),
    Column("Sends"),
    Column("State"),
    Column("Accepted", numeric=True, hint="Events of the last 24 hours"),
    Column("Refused", numeric=True, hint="Events of the last 24 hours, by rule or by limit"),
    Column("Last seen (UTC)", whole=True),
)


async def build(visit: Visit) -> None:
    """By name."""
    Text("h1", TITLE)
    found = await visit.apis.sources.sources()
    if found:
        with box("section", "card flush"):
            table("Sources by name", _COLUMNS, map(_row, found), "stack")
        Text("p", "Numbers are of the last 24 hours.", "note")
    else:
        empty("Nobody may send events yet.", "Create a source below; it gets a write key.")
    _Creation(visit.apis)


def state(source: Source) -> Pill:
    """Whether it may send."""
    return Pill("on", "good") if source.enabled else Pill("disabled", "bad")


def _row(source: Source) -> list[Cell]:
    day = source.last_day
    return [
        Link(source.name, f"/sources/{source.name}"),
        KINDS.get(source.kind, source.kind),
        state(source),
        words.count(day.accepted),
        words.count(day.rejected + day.limited),
        words.moment(day.last_seen).removesuffix(" UTC"),
    ]


class _Creation:
    """The form for a new source; after it, the key, once."""

    def __init__(self, apis: Apis) -> None:
        self._apis = apis
        with card("New source"):
            with form(self._create, "inline"):
                field("Name", "name", required="", maxlength="60", placeholder="web-shop")
                choice("What sends", "kind", {k: words.sentence(v) for k, v in KINDS.items()})
                field("Currency, where an event names none", "currency", maxlength="3")
                Text("button", "Create", "button primary", type="submit")
            self._notice = Notice()
            self._made = box("div", "made", aria_live="polite")

    async def _create(self, given: dict[str, str]) -> None:
        name, kind = given.get("name", ""), given.get("kind", "server")
        if not _NAME.fullmatch(name):
            self._notice.say("A name has 1 to 60 of a-z, 0-9 and -.")
            return
        body = {"kind": kind, "default_currency": given.get("currency", "").upper() or None}
        if isinstance(await self._notice.tried(self._new(name, body)), Trouble):
            return
        self._made.clear()
        with self._made:
            if kind in WITH_KEYS:
                made = await self._notice.tried(self._apis.sources.make_key(name, None))
                if not isinstance(made, Trouble):
                    credentials.show_once(made)
            link(f"Go to {name}", f"/sources/{name}", "button")

    async def _new(self, name: str, body: dict[str, str | None]) -> None:
        try:
            await self._apis.sources.source(name)
        except Trouble as trouble:
            if trouble.status != 404:
                raise
        else:
            raise Trouble(f"There is a source {name} already.")
        await self._apis.sources.put(name, body)
