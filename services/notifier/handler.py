"""The notifier's turns: one decision per send key, and what follows from each attempt.

Reads segment.changes, consent.requests, what comes back of mails (events.emails), the results
of the sender and the timers of what is delayed; writes the send ledger and message.changes.
Nothing is sent in here: what is due is handed to the sender once the turn is durable.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from schemas.messages import MessageChanged, SegmentChanged
from schemas.topics import EMAILS
from services.notifier import asking, responses, rules
from services.notifier.announce import message_of
from services.notifier.campaigns import Campaigns
from services.notifier.draft import Done, Draft
from services.notifier.model import Entry, Outcome, Recover, Response, Retry, Suppression
from services.notifier.reading import changes_of, requests_of, responses_of
from services.runtime import metrics
from services.runtime.turn import Source, Turn

LOOK_AGAIN = "recover"
"""The key of the timer that looks once more for what a former owner had in flight."""


class Ledger(Protocol):
    """The send ledger within a turn's transaction."""

    async def load(self, session: Any, message_ids: Iterable[str]) -> dict[str, Entry]:
        """The entries that exist, by id."""

    async def pending(self, session: Any, profile_ids: Iterable[str]) -> list[Entry]:
        """Entries of these people that are decided and not begun."""

    async def asked(self, session: Any, about: asking.Asked) -> list[Entry]:
        """By what people were asked to confirm a consent: these ever, at these addresses lately."""

    async def unfinished(
        self, session: Any, sources: Sequence[str]
    ) -> list[tuple[Entry, Outcome | None]]:
        """Attempts of these sources without a stored result, each with the one noted."""

    async def save(
        self,
        session: Any,
        new: Sequence[Entry],
        changed: Sequence[Entry],
        suppressions: Sequence[Suppression],
    ) -> None:
        """Store all of it; a concurrent change of any of these aborts the transaction."""


class Outbound(Protocol):
    """The sender, as the handler sees it; nothing here waits."""

    def offer(self, entries: Sequence[Entry]) -> None:
        """Send these now."""

    def settled(self, message_ids: Sequence[str]) -> None:
        """The ledger has what became of these."""

    def holds(self, message_id: str) -> bool:
        """The result of this one is still to come from here."""

    def own(self, sources: Sequence[str]) -> None:
        """These sources are ours."""

    def disown(self, sources: Sequence[str]) -> None:
        """These sources are ours no more."""


class Notifier:
    """Decides what to say, to whom, once. The handler of the ``notifier`` stage."""

    def __init__(
        self,
        ledger: Ledger,
        campaigns: Campaigns,
        outbound: Outbound,
        complete: Callable[[str, Any], None],
        *,
        retry: Retry,
        grace: timedelta,
        confirm: asking.Terms | None = None,
    ) -> None:
        """``confirm``: on what terms people are asked to confirm a consent."""
        self._ledger = ledger
        self._campaigns = campaigns
        self._outbound = outbound
        self._complete = complete
        self._retry = retry
        self._grace = grace
        self._confirm = confirm or asking.Terms()
        self._done = WeakKeyDictionary[Turn, Done]()

    # -- what the stage calls ------------------------------------------------------------

    async def handle(self, turn: Turn) -> None:
        """One turn: results first, so that what follows sees them."""
        changes = list(changes_of(turn, self._campaigns))
        responded = list(responses_of(turn))
        requests = list(requests_of(turn))
        outcomes = [c.body for c in turn.completions if isinstance(c.body, Outcome)]
        named = {outcome.message_id for outcome in outcomes}
        named |= {response.message_id for _, response in responded} | asking.ids_of(requests)
        draft = await self._load(turn, changes, named)
        if about := asking.about(requests, draft, turn.now):
            draft.loaded(await self._ledger.asked(turn.session, about))
        for completion in turn.completions:
            if isinstance(completion.body, Outcome):
                self._settle(turn, draft, completion.source, completion.body)
        await self._recover(turn, draft)
        for source, response in responded:
            self._respond(turn, draft, source, response)
        for source, change in changes:
            act = self._enter if change.change == "entered" else self._exit
            act(turn, draft, source, change)
        for request in requests:
            asking.ask(turn, draft, request, self._confirm)
        said = self._emit(turn, draft)
        due = self._schedule(turn, draft)
        await self._save(turn, draft)
        self._done[turn] = Done([outcome.message_id for outcome in outcomes], due, said)

    async def committed(self, turn: Turn) -> None:
        """Hand over what is due."""
        done = self._done.pop(turn, None)
        if done is None:
            return
        for change in done.said:
            metrics.MESSAGES.labels(change.state, change.reason).inc()
        self._outbound.settled(done.settled)
        self._outbound.offer(done.due)

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Look for what the last owner left: unfinished attempts, and what is due."""
        sources = [source for source in sources if source.topic != EMAILS.name]
        self._outbound.own([source.id for source in sources])
        for source in sources:
            self._complete(source.id, Recover())

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Begin nothing more for these; there is no other cached state."""
        if sources:
            self._outbound.disown([source.id for source in sources])

    # -- one turn ------------------------------------------------------------------------

    async def _load(
        self,
        turn: Turn,
        changes: Sequence[tuple[Source, SegmentChanged]],
        named: Iterable[str],
    ) -> Draft:
        ids = {*named} | {timer.key for timer in turn.timers if timer.key != LOOK_AGAIN}
        people = set[str]()
        for _, change in changes:
            if change.change == "exited":
                people.update((change.profile_id, *change.merged_from))
                continue
            for live in self._campaigns.on(change.segment):
                message_id, former = rules.send_keys(live.key, live.campaign, change)
                ids.update((message_id, *former))
        draft = Draft()
        if ids:
            draft.loaded((await self._ledger.load(turn.session, ids)).values())
        if people:
            draft.loaded(await self._ledger.pending(turn.session, people))
        return draft

    def _settle(self, turn: Turn, draft: Draft, source: Source, outcome: Outcome) -> None:
        entry = draft.entries.get(outcome.message_id)
        settled = entry and rules.settle(entry, outcome, self._retry, turn.now)
        if settled is None:
            turn.drop("result_out_of_date")
            return
        draft.put(settled, source)
        if outcome.bounced and settled.address:
            key = rules.suppression_keys(settled.channel, (), settled.address)[0]
            draft.suppressions.append(
                Suppression(key=key, reason="bounced", at=outcome.at, message_id=settled.message_id)
            )

    def _respond(self, turn: Turn, draft: Draft, source: Source, response: Response) -> None:
        entry = draft.entries.get(response.message_id)
        if entry is None:
            turn.drop("unknown_email_id")
            return
        after = responses.respond(entry, response, turn.now)
        if after is None:
            turn.drop("nothing_new")
        else:
            draft.put(after, source)

    async def _recover(self, turn: Turn, draft: Draft) -> None:
        """Attempts whose sender is gone: take its note, or call them uncertain."""
        asked = {c.source.id: c.source for c in turn.completions if isinstance(c.body, Recover)}
        again = dict(asked)  # a former owner that lives on may still be in flight
        asked |= {t.source.id: t.source for t in turn.timers if t.key == LOOK_AGAIN}
        if not asked:
            return
        for found, noted in await self._ledger.unfinished(turn.session, sorted(asked)):
            draft.loaded([found])
            entry, source = draft.entries[found.message_id], asked[found.source]
            if noted is None and self._outbound.holds(entry.message_id):
                continue
            if noted is None and turn.now - (entry.begun_at or turn.now) < self._grace:
                again[source.id] = source
                continue
            abandoned = rules.abandon(entry, noted, self._retry, turn.now)
            if abandoned is not None:
                draft.put(abandoned, source)
        for source in again.values():
            turn.set_timer(source, LOOK_AGAIN, turn.now + self._grace)

    def _enter(self, turn: Turn, draft: Draft, source: Source, change: SegmentChanged) -> None:
        for live in self._campaigns.on(change.segment):
            if not live.campaign.enabled:
                turn.drop("campaign_disabled")
                continue
            message_id, keys = rules.send_keys(live.key, live.campaign, change)
            former = [draft.entries[key] for key in keys if key in draft.entries]
            if message_id in draft.entries or any(e.state in rules.REACHED for e in former):
                turn.drop("already_decided")
                continue
            said = change
            if change.history and rules.carried_over(former):
                # Imported history joined the two, but what is pending it has not caused.
                said = replace(change, history=False)
            for entry in former:
                if entry.state == "decided":  # the person goes on under another id
                    draft.put(rules.skip(entry, "merged", turn.now), source)
            draft.put(rules.decide(live, said, source.id, turn.now), source)

    def _exit(self, turn: Turn, draft: Draft, source: Source, change: SegmentChanged) -> None:
        people = {change.profile_id, *change.merged_from}
        reason = "merged" if change.cause == "merge" else "left_segment"
        for entry in list(draft.entries.values()):
            if (
                entry.profile_id in people
                and entry.segment == change.segment
                and entry.state == "decided"
            ):
                draft.put(rules.skip(entry, reason, turn.now), source)
                if entry.source == source.id:
                    turn.cancel_timer(source, entry.message_id)

    def _emit(self, turn: Turn, draft: Draft) -> list[MessageChanged]:
        said = []
        for message_id, source in draft.sources.items():
            before, after = draft.stored.get(message_id), draft.entries[message_id]
            for change in rules.announcements(before, after):
                turn.emit(source, message_of(change))
                said.append(change)
        return said

    def _schedule(self, turn: Turn, draft: Draft) -> list[Entry]:
        """Set a timer for what is to wait; returns what is due now."""
        owners = {timer.key: timer.source for timer in turn.timers} | draft.sources
        due = []
        for message_id, source in owners.items():
            entry = draft.entries.get(message_id)
            if entry is None or entry.state != "decided":
                continue
            if entry.due_at <= turn.now:
                due.append(entry)
            else:
                turn.set_timer(source, message_id, entry.due_at)
        return due

    async def _save(self, turn: Turn, draft: Draft) -> None:
        touched = [draft.entries[message_id] for message_id in draft.sources]
        new = [entry for entry in touched if entry.message_id not in draft.stored]
        changed = [entry for entry in touched if entry.message_id in draft.stored]
        for entry in touched:
            draft.suppressions += responses.suppressions(entry)
        if touched:
            await self._ledger.save(turn.session, new, changed, draft.suppressions)
