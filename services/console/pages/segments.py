"""Every segment: how many are in it, and its rule in words."""

from services.console import words
from services.console.answers import Segment
from services.console.elements import Text, box, empty
from services.console.pages.visit import Visit

TITLE = "Segments"


async def build(visit: Visit) -> None:
    """The largest first."""
    Text("h1", TITLE)
    found = await visit.apis.segments.segments()
    if not found:
        empty(
            "No segments are defined.",
            "PUT /v1/segments/{key} of the segmentation API; its /docs show examples.",
        )
    with box("div", "cards"):
        for segment in sorted(found, key=lambda one: (-one.members, one.name)):
            _show(segment)


def _show(segment: Segment) -> None:
    with box("section", "card", id=segment.key):
        with box("div", "card-head"):
            Text("h2", segment.name)
            with box("p", "figure"):
                Text("span", words.count(segment.members))
                Text("span", "person" if segment.members == 1 else "people", "unit")
        if segment.description:
            Text("p", segment.description)
        with box("ul", "rule", aria_label="Rule"):
            for depth, line in words.rule(segment.rule):
                Text("li", line, f"depth-{min(depth, 6)}")
        if segment.state == "waiting":
            asked = "; ".join(one.condition for one in segment.waiting_for)
            said = f"Waits until every profile is filled in with: {asked}." if asked else "Waits."
            Text("p", f"{said} Until then nobody enters or leaves.", "banner mild")
        elif segment.state == "evaluating":
            Text("p", "Everybody is being asked: the number is not final.", "banner mild")
        changed = words.moment(segment.updated_at)
        Text("p", f"{segment.key}, version {segment.version}, changed {changed}", "note")
