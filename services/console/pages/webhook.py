"""One subscription: how it is doing, its last attempts, and what can be done about it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import ui

from services.console import words
from services.console.acting import Notice, button, confirmed, field, form
from services.console.client import Trouble
from services.console.elements import (
    Cell,
    Column,
    Link,
    Pill,
    Text,
    box,
    card,
    empty,
    facts,
    link,
    pill,
    table,
)
from services.console.pages import webhooks
from services.console.pages.visit import Visit
from services.console.subscribed import Attempt, Secret, Subscription, Tested

TITLE = "Webhook"
_TONES = {"delivered": "good", "failed": "wait", "gone": "bad", "given_up": "bad"}
_REASONS = {
    "by_request": "Somebody disabled it.",
    "endpoint_gone": "Its endpoint answered that it is gone (410).",
    "endpoint_failing": "Nothing arrived at its endpoint for days.",
}
_COLUMNS = (
    Column("When (UTC)", whole=True),
    Column("What"),
    Column("Profile"),
    Column("Attempt", numeric=True),
    Column("Outcome"),
    Column("Answer"),
    Column("Seconds", numeric=True),
)


async def build(visit: Visit) -> None:
    """Its state and log are asked for again every two seconds."""
    id_ = str(visit.parts["id"])
    one, log = await asyncio.gather(
        visit.apis.webhooks.subscription(id_), visit.apis.webhooks.attempts(id_)
    )
    page = _Page(visit, one, log)
    ui.timer(visit.settings.console_refresh_seconds, page.refresh, immediate=False)


class _Page:
    def __init__(self, visit: Visit, one: Subscription, log: Sequence[Attempt]) -> None:
        self._webhooks = visit.apis.webhooks
        self._id = one.id
        self._drawn: Subscription | None = None
        self._logged: Sequence[Attempt] | None = None
        with box("div", "title"):
            link("All webhooks", "/webhooks", "back")
            Text("h1", one.description or one.url)
            self._state = box("div", "choices")
        self._notice = Notice()
        self._said = Notice()  # of what was done: it stays until something else is
        self._made = box("div", aria_live="polite")
        with box("div", "wide-and-narrow"):
            with box("div", "column"), card("Attempts", note="The last 100, newest first"):
                self._log = box()
            with box("div", "column"):
                with card("Subscription"):
                    self._facts = box()
                again = card("Send again", note="In order, under the same ids")
                with again, form(self._replay, "inline"):
                    field("Since (UTC)", "since", type="datetime-local", required="")
                    Text("button", "Send again", "button", type="submit")
                with card("Secret"):
                    question = "For a day both sign: give the team the new one meanwhile."
                    confirmed("Make a new secret", question, self._rotate)
        self._show(one, log)

    async def refresh(self) -> None:
        """Ask again."""
        found = await self._notice.tried(self._ask())
        if not isinstance(found, Trouble):
            self._show(*found)

    async def _ask(self) -> tuple[Subscription, Sequence[Attempt]]:
        return await asyncio.gather(
            self._webhooks.subscription(self._id), self._webhooks.attempts(self._id)
        )

    def _show(self, one: Subscription, log: Sequence[Attempt]) -> None:
        if one != self._drawn:
            before, self._drawn = self._drawn, one
            if before is None or (before.state, before.enabled) != (one.state, one.enabled):
                self._show_state(one)
            self._facts.clear()
            with self._facts:
                facts(_facts(one))
        if log != self._logged:
            self._logged = log
            self._log.clear()
            with self._log:
                if log:
                    table("Attempts, newest first", _COLUMNS, map(_row, log), "stack")
                else:
                    empty("Nothing was sent yet.", "Send a test.")

    def _show_state(self, one: Subscription) -> None:
        self._state.clear()
        with self._state:
            pill(webhooks.state(one))
            button("Send a test", self._test)
            if one.enabled:
                question = "It stays where it is. Enabled again, it goes on from there."
                confirmed("Disable", question, self._disable)
            else:
                button("Enable", self._enable)

    async def _disable(self) -> None:
        await self._change(enabled=False)

    async def _enable(self) -> None:
        await self._change(enabled=True)

    async def _change(self, *, enabled: bool) -> None:
        changed = await self._said.tried(self._webhooks.switch(self._id, on=enabled))
        if not isinstance(changed, Trouble):
            await self.refresh()
            self._said.say("It is enabled." if enabled else "It is disabled.", fine=True)

    async def _test(self) -> None:
        tested = await self._said.tried(self._webhooks.test(self._id))
        if isinstance(tested, Tested):
            await self.refresh()
            self._said.say(_said(tested), fine=tested.delivered)

    async def _rotate(self) -> None:
        made = await self._said.tried(self._webhooks.rotate(self._id))
        if isinstance(made, Secret):
            self._made.clear()
            with self._made:
                webhooks.show_once(made.secret)

    async def _replay(self, given: dict[str, str]) -> None:
        try:
            since = datetime.fromisoformat(given.get("since", "")).replace(tzinfo=UTC)
        except ValueError:
            self._said.say("Name a day and a time.")
            return
        moved = await self._said.tried(self._webhooks.replay(self._id, since))
        if not isinstance(moved, Trouble):
            await self.refresh()


def _facts(one: Subscription) -> list[tuple[str, Cell]]:
    shown: list[tuple[str, Cell]] = [
        ("Address", one.url),
        ("Types", ", ".join(one.types)),
        ("Only changes of", ", ".join(one.changed) or "anything"),
        ("Only segments", ", ".join(one.segments) or "any"),
        ("Waiting", words.count(one.waiting)),
        ("Last arrived", words.moment(one.last_success_at)),
        ("Created", words.moment(one.created_at)),
    ]
    if one.failing_since is not None:
        shown.append(("Failing since", words.moment(one.failing_since)))
    if one.since is not None:
        shown.append(("Sent again from", words.moment(one.since)))
    if not one.enabled:
        shown.append(("Disabled", words.moment(one.disabled_at)))
        shown.append(("Why", _REASONS.get(one.reason, words.code(one.reason))))
    return shown


def _row(one: Attempt) -> list[Cell]:
    profile = Link(one.profile_id, f"/customers/{one.profile_id}") if one.profile_id else ""
    return [
        words.moment(one.at).removesuffix(" UTC"),
        one.type,
        profile,
        words.count(one.attempt),
        Pill(words.code(one.outcome), _TONES.get(one.outcome, "plain")),
        words.code(one.code) or str(one.status),
        f"{one.seconds:.3f}",
    ]


def _said(tested: Tested) -> str:
    if tested.delivered:
        return f"The test arrived: {tested.status}, in {tested.seconds:.3f} s."
    return f"The test did not arrive: {words.code(tested.code)}. {tested.detail}".strip()
