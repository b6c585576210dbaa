r"""What may become of a dead letter: each change gives the letter as it then is. Pure.

open ---> edited          refused again, with a changed body
  |  \-> dismissed        nothing is to be done; it may still be replayed
  v
replaying --> replayed    once its records are in the outbox of the stage
  |               |
  +-------<-------+       open again: some stage refused what was replayed
"""

from datetime import datetime

from msgspec.structs import replace

from schemas.validation import Fault
from services.ingest.dead_letters.model import MAX_HISTORY, Action, Letter, Returned
from services.ingest.dead_letters.people import people_in


def _then(letter: Letter, action: Action | None, **changes: object) -> Letter:
    history = letter.history if action is None else [*letter.history, action][-MAX_HISTORY:]
    return replace(letter, version=letter.version + 1, history=history, **changes)


def refused(letter: Letter, fault: Fault, body: bytes | None, action: Action) -> Letter:
    """Its replay with ``body`` (None: as it was) did not fit: it stays, and so does the edit."""
    action = replace(action, deed="refused", code=fault.code, detail=fault.detail)
    changes = {} if body is None else _edit(letter, body)
    return _then(letter, action, reason=fault.code, detail=fault.detail, **changes)


def requested(letter: Letter, outputs: bytes, body: bytes | None, action: Action) -> Letter:
    """It is to be replayed by ``outputs``, whose encoded records are kept until it is."""
    action = replace(action, deed="replaying")
    changes = {} if body is None else _edit(letter, body)
    return _then(letter, action, **{**changes, "outputs": outputs, "state": "replaying"})


def replayed(letter: Letter, now: datetime) -> Letter:
    """Its records are stored to be published."""
    return _then(letter, Action(at=now, deed="replayed"), state="replayed", outputs=b"")


def returned(letter: Letter, news: Returned) -> Letter | None:
    """A stage refused what was replayed: it is open again; None if that is known already."""
    action = news.action
    if any(one.place == action.place for one in letter.history) or letter.state == "erased":
        return None
    state = "open" if letter.edited is None else "edited"
    facts = {"reason": action.code, "detail": action.detail, "stage": action.by}
    return _then(letter, action, state=state, outputs=b"", **facts)


def dismissed(letter: Letter, action: Action) -> Letter:
    """Nothing is to be done about it."""
    return _then(letter, replace(action, deed="dismissed"), state="dismissed")


def erased(letter: Letter, action: Action) -> Letter:
    """Nothing of it is kept but that it was there, and why."""
    return _then(
        letter,
        replace(action, deed="erased"),
        **dict.fromkeys(("raw", "edited", "key", "message_id")),
        **dict.fromkeys(("shared", "outputs"), b""),
        name="",
        headers=[],
        people=[],
        state="erased",
    )


def _edit(letter: Letter, body: bytes) -> dict[str, object]:
    people = sorted({*letter.people, *people_in(body)})
    return {"edited": body, "people": people, "state": "edited"}
