"""Deciding who is one person, in two steps: what it would do, and only then doing it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from services.console import words
from services.console.acting import Notice, button, choice, field, form
from services.console.answers import Identifier
from services.console.client import Trouble
from services.console.elements import Column, Text, box, facts, link, table
from services.console.identities import Decided, Moving, Outlook, Preview

Said = dict[str, Any]
_TICK = "tick-"
_SEGMENT_COLUMNS = (
    Column("Segment"),
    Column("Now in it"),
    Column("Then"),
    Column("For sure until"),
)


class Deciding:
    """A form that asks why, shows what would happen, and has it done.

    ``verdicts``: what may be decided, by the word that is sent as ``verdict``; none where there
    is but one thing to decide. ``named``: what to call a profile. ``place``: a word that no
    other one on the page has. ``names``: identifiers of which some are to be ticked. ``other``: ask
    for somebody else's profile id, which is sent as ``with``.
    """

    def __init__(
        self,
        attempt: Callable[[Said], Awaitable[Preview]],
        perform: Callable[[Said], Awaitable[Decided]],
        *,
        verdicts: Mapping[str, str] | None = None,
        named: Mapping[str, str] | None = None,
        said: Said | None = None,
        place: str = "decision",
        names: Sequence[Identifier] = (),
        other: bool = False,
        hint: str = "",
    ) -> None:
        self._attempt = attempt
        self._perform = perform
        self._named = named or {}
        self._fixed = said or {}
        self._names = names
        self._said: Said = {}
        self._form = form(self._try, "form deciding")
        with self._form:
            if hint and not names:
                Text("p", hint)
            if verdicts:
                choice("Verdict", "verdict", verdicts)
            if names:
                _ticks(hint, names)
            if other:
                label = "Profile id of the other"
                field(label, "with", id=f"{place}-with", required="", maxlength="200")
            why = "Why? For whoever asks later"
            field(why, "reason", id=f"{place}-reason", required="", maxlength="1000")
            field("Your name", "actor", id=f"{place}-actor", maxlength="200")
            Text("button", "See what it would do", "button primary", type="submit")
        self._notice = Notice()
        self._summary = Text("p", "", "strong", role="status")
        self._outcome = box("div", "column")

    async def _try(self, given: dict[str, str]) -> None:
        self._summary.set_text("")
        self._outcome.clear()
        if not given.get("reason"):
            self._notice.say("Say why: it stands beside the decision for ever.")
            return
        ticked = [one for n, one in enumerate(self._names) if given.get(f"{_TICK}{n}")]
        if self._names and not ticked:
            self._notice.say("Tick what is another person's.")
            return
        said = {name: value for name, value in given.items() if value and _TICK not in name}
        self._said = self._fixed | said
        if ticked:
            named = [{"type": one.type, "value": one.value} for one in ticked]
            self._said |= {"identifiers": named}
        found = await self._notice.tried(self._attempt(self._said))
        if isinstance(found, Trouble):
            return
        with self._outcome:
            self._show(found)

    def _show(self, found: Preview) -> None:
        stays = found.kind == "split" and not found.before
        said = "They stay two people, and no message will ever make them one."
        self._summary.set_text(said if stays else found.summary)
        for title, people in (("Now", found.before), ("Then", found.after)):
            for one in people:
                with box("div", "merge"):
                    Text("p", f"{title}: {self._name(one.profile_id)}")
                    facts(_facts(one))
        if not stays:
            self._segments(found)
        with box("div", "choices"):
            said = "They are one person" if found.kind == "join" else "They are two people"
            button(f"Yes: {said.lower()}", self._do, "button danger")

    def _segments(self, found: Preview) -> None:
        if found.segments is None:
            Text("p", found.segments_note, "banner mild")
            return
        if found.segments:
            rows = [self._moving(one) for one in found.segments]
            table("Segments that would change", _SEGMENT_COLUMNS, rows, "stack")
        else:
            Text("p", "No segment changes.", "note")
        if found.segments_note:
            Text("p", found.segments_note, "note")

    def _moving(self, one: Moving) -> list[Any]:
        sides = [", ".join(map(self._name, ids)) or "nobody" for ids in (one.before, one.after)]
        until = "always" if one.until is None else words.moment(one.until)
        return [one.name, *sides, until]

    def _name(self, profile_id: str) -> str:
        return self._named.get(profile_id, profile_id)

    async def _do(self) -> None:
        done = await self._notice.tried(self._perform(self._said))
        if isinstance(done, Trouble):
            return
        if done.state == "applied":
            self._notice.say("It is decided.", fine=True)
        else:
            self._notice.say("It is decided and will be done shortly. Look again in a minute.")
        self._form.visible = False
        self._summary.set_text("")
        self._outcome.clear()
        with self._outcome, box("div", "choices"):
            for profile_id in done.profiles:
                link(f"Go to {self._name(profile_id)}", f"/customers/{profile_id}", "button")


def _ticks(legend: str, names: Sequence[Identifier]) -> None:
    """Identifiers of which some are to be ticked, under what is asked."""
    with box("fieldset", "ticks"):
        Text("legend", legend)
        for number, one in enumerate(names):
            with box("label", "tick"):
                box("input", type="checkbox", name=f"{_TICK}{number}")
                Text("span", f"{words.code(one.type)} {one.value}")


def _facts(one: Outlook) -> list[tuple[str, str]]:
    known = ", ".join(f"{words.code(each.type)} {each.value}" for each in one.identifiers)
    return [
        ("Known by", known or words.NOTHING),
        ("Interactions", words.count(one.interactions)),
        ("Orders", words.count(one.order_count)),
        ("Revenue", words.moneys(one.revenue)),
    ]
