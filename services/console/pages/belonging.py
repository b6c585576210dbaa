"""Which segments a person is in, and why: a part of their page."""

from collections.abc import Sequence

from nicegui.events import GenericEventArguments

from services.console import words
from services.console.answers import Explanation, Membership, Segment
from services.console.client import Apis, Trouble
from services.console.elements import Text, banner, box, card, empty


def show_segments(
    apis: Apis,
    profile_id: str,
    segments: Sequence[Segment] | Trouble,
    memberships: Sequence[Membership] | Trouble,
) -> None:
    """Every segment, those that they are in first; each says why when it is opened."""
    with card("Segments", note="Open one to see why, or why not"):
        for answer in (segments, memberships):
            if isinstance(answer, Trouble):
                banner(answer.message)
        if isinstance(segments, Trouble) or isinstance(memberships, Trouble):
            return
        if not segments:
            empty("No segments are defined.", "PUT /v1/segments/{key} of the segmentation API.")
        since = {one.segment: one for one in memberships}
        for segment in sorted(segments, key=lambda one: (one.key not in since, one.name)):
            _Why(apis, profile_id, segment, since.get(segment.key))


class _Why:
    """One segment; asks for the explanation when it is opened."""

    def __init__(
        self, apis: Apis, profile_id: str, segment: Segment, membership: Membership | None
    ) -> None:
        self._apis = apis
        self._profile_id = profile_id
        self._key = segment.key
        with box("details", "why") as details:
            with box("summary"):
                Text("span", segment.name)
                if segment.state == "waiting":
                    Text("span", "waits", "pill wait")
                tone = "good" if membership else "plain"
                Text("span", "member" if membership else "not a member", f"pill {tone}")
            if membership:
                times = words.counted(membership.occurrence, "time")
                Text("p", f"Since {words.moment(membership.since)}, entered {times}.", "note")
            self._reasons = box("div", "reasons", aria_live="polite")
        details.on("toggle", self._toggle, js_handler="(e) => e.target.open && emit()")

    async def _toggle(self, _: GenericEventArguments) -> None:
        try:
            found = await self._apis.segments.explain(self._key, self._profile_id)
        except Trouble as trouble:
            self._reasons.clear()
            with self._reasons:
                banner(trouble.message)
            return
        self._reasons.clear()
        with self._reasons:
            _explain(found)


def _explain(found: Explanation) -> None:
    with box("ul"):
        for reason in found.reasons:
            with box("li"):
                Text("span", "yes" if reason.holds else "no", f"pill {_tone(reason.holds)}")
                Text("span", words.sentence(reason.condition))
                Text("span", f"is {words.trait(reason.actual)}", "detail")
    if found.next_flip is not None:
        Text("p", f"Time alone may change this on {words.moment(found.next_flip)}.", "note")


def _tone(holds: bool) -> str:
    return "good" if holds else "plain"
