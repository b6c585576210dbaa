"""The turn's part of double opt-in: one decision for each request to have a grant confirmed."""

from collections.abc import Iterable
from datetime import timedelta

from schemas.messages import ConsentRequested
from services.notifier import confirmation, rules
from services.notifier.draft import Draft
from services.runtime.turn import Source, Turn


def ids_of(requests: Iterable[tuple[Source, ConsentRequested]]) -> set[str]:
    """The entries that must be known before these are decided."""
    ids = set[str]()
    for _, asked in requests:
        message_id, former = confirmation.message_ids(asked)
        ids.update((message_id, *former))
    return ids


def ask(
    turn: Turn, draft: Draft, request: tuple[Source, ConsentRequested], life: timedelta
) -> None:
    """Decide on one request, unless the person was asked already, under whatever id."""
    source, asked = request
    message_id, keys = confirmation.message_ids(asked)
    former = [draft.entries[key] for key in keys if key in draft.entries]
    if message_id in draft.entries or any(entry.state in rules.REACHED for entry in former):
        turn.drop("already_decided")
        return
    for entry in former:
        if entry.state == "decided":  # the person goes on under another id
            draft.put(rules.skip(entry, "merged", turn.now), source)
    draft.put(confirmation.decide(asked, source.id, turn.now, life), source)
