"""What watchers of a source get to see, collected only while somebody watches.

Every process collects for itself and stores what it has about once a second, so that a
watcher sees the events of all processes. Nobody watches: one look into an empty set.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count

from services.ingest.model import Accepted, Judged, Outcome
from services.ingest.sources.sighting import Sighting, Verdict, moment, sighted

MOST = 100
"""Events of a source that are kept until they are stored, and that a page shows."""


class Lens:
    """The watched sources of this process, and what was seen of them."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._numbers = count()
        self.watched: Mapping[str, float] = {}
        """By source until when (monotonic seconds); mostly nothing, and then nothing is done."""
        self._waiting: dict[str, deque[Sighting]] = {}

    def watch(self, until: Mapping[str, float]) -> None:
        """These are watched, until then (monotonic seconds), and no others."""
        self.watched = dict(until)

    def watches(self, source: str, now: float) -> bool:
        """Whether somebody looks at this source."""
        return self.watched.get(source, 0.0) > now

    def see(self, source: str, judged: Judged, *, acknowledged: bool) -> None:
        """Keep the latest of these events."""
        waiting = self._waiting.setdefault(source, deque(maxlen=MOST))
        verdicts = _verdicts(judged.outcomes, acknowledged)
        latest = list(zip(judged.texts, judged.outcomes, verdicts, strict=True))[-MOST:]
        for text, outcome, verdict in latest:
            kept, cut = sighted(text)
            waiting.append(
                Sighting(
                    id=f"{moment(judged.at)}-{self._run}-{next(self._numbers):09d}",
                    source=source,
                    at=judged.at,
                    verdict=verdict,
                    text=kept,
                    cut=cut,
                    **_facts(outcome),
                )
            )

    def take(self) -> list[Sighting]:
        """What has been seen since the last time."""
        waiting, self._waiting = self._waiting, {}
        return [sighting for seen in waiting.values() for sighting in seen]


def _verdicts(outcomes: Sequence[Outcome], acknowledged: bool) -> list[Verdict]:
    verdicts: list[Verdict] = []
    known = set[str]()
    for outcome in outcomes:
        if not isinstance(outcome, Accepted):
            verdicts.append("rejected")
        elif outcome.message_id in known:
            verdicts.append("duplicate")
        else:
            known.add(outcome.message_id)
            verdicts.append("accepted" if acknowledged else "unavailable")
    return verdicts


def _facts(outcome: Outcome) -> dict[str, str]:
    if isinstance(outcome, Accepted):
        return {"message_id": outcome.message_id, "name": outcome.name}
    fault, message_id = outcome
    return {"code": fault.code, "detail": fault.detail, "message_id": message_id or ""}
