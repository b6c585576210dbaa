"""What build publishes: profiles after a change, redirects, and what moves on to a survivor."""

import msgspec

from schemas.messages import Cause, ConsentRequested, Interaction, ProfileAbsorbed, ProfileChanged
from services.profile.build.inbox import ABSORBED, CHANGED, RECORDED, Work, first_key_of, first_of
from services.profile.build.kept import Kept
from services.profile.build.rules.before import told
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.view import profile_of
from services.profile.commerce.rules.rates import valued
from services.runtime.turn import Message, Record, Turn

REQUESTED = "regulars.consent.requested.v1"
_encode = msgspec.json.Encoder(order="deterministic").encode

LOOKED_AGAIN = "identity"
"""The ``message_id`` of a cause that is no one message: who is who was looked at again, or is
known here before whatever says so has come."""


def cause_of(turn: Turn, work: Work) -> Cause:
    """The last message behind a change; of a change of definitions, none.

    Among live messages and imported ones it is a live one: what it causes is no history.
    """
    if work.said:
        last = work.said[-1]
        if last.history != work.history:
            said = reversed(work.said)
            last = next((one for one in said if one.history == work.history), last)
        return Cause(
            message_id=last.interaction_id,
            name=last.name,
            at=last.at,
            source=last.source,
            history=work.history,
        )
    if work.absorbed:
        merge = work.absorbed[-1]
        return Cause(
            message_id=merge.message_id,
            name="Profile Merged",
            at=merge.at,
            history=work.history,
        )
    if work.rearranged is not None:
        rearranged = work.rearranged
        return Cause(
            message_id=rearranged.message_id or LOOKED_AGAIN,
            name="Identity Rearranged",
            at=rearranged.at,
            history=work.history,
        )
    name = "Exchange Rates Changed" if work.revalue else "Computed Traits Changed"
    return Cause(message_id="", name=name, at=turn.now)


def emit_changed(
    turn: Turn, work: Work, profile_id: str, kept: Kept, what: tuple[set[str], Traits, Policy]
) -> None:
    """The profile as it is now; ``what`` changed, and what it is computed and judged with."""
    touched, traits, policy = what
    changed = sorted(touched)
    profile = profile_of(profile_id, kept.state, traits, policy, kept=kept)
    change = ProfileChanged(
        profile_id=profile_id,
        version=kept.version,
        changed_at=turn.now,
        cause=cause_of(turn, work),
        changed=changed,
        merged_from=kept.members,
        profile=valued(profile, kept.worth),
    )
    if work.earlier is not None:
        change.before = told(work.earlier, changed, policy, traits)
    _emit_change(turn, work, change)


def emit_redirect(turn: Turn, work: Work, profile_id: str, redirect: tuple[Kept, int]) -> None:
    """The profile is no more: to readers of changes, and to the survivor's owner.

    ``redirect`` is what is kept of it, and how many of its interactions were announced and
    not imported.
    """
    closed, live = redirect
    assert closed.into is not None
    merged = work.merged or work.rearranged
    cause = Cause(
        message_id=(merged.message_id if merged else "") or LOOKED_AGAIN,
        name="Profile Merged",
        at=merged.at if merged else turn.now,
        history=merged is not None and merged.history,
    )
    _emit_change(
        turn,
        work,
        ProfileChanged(
            profile_id=profile_id,
            version=closed.version,
            changed_at=turn.now,
            cause=cause,
            changed=["merged_into"],
            merged_into=closed.into,
        ),
    )
    absorbed = ProfileAbsorbed(
        profile_id=closed.into,
        absorbed=profile_id,
        message_id=cause.message_id,
        at=cause.at,
        history=cause.history,
        live=live,
    )
    emit_absorbed(turn, work, absorbed)


def _emit_change(turn: Turn, work: Work, change: ProfileChanged) -> None:
    profile_id = change.profile_id
    message = Message(
        topic="profile.changes",
        key=profile_id,
        value=_encode(change),
        type=CHANGED,
        id=f"{profile_id}/{change.version}",
        time=change.changed_at,
        partition=work.source.partition,  # Both topics have as many.
    )
    turn.emit(work.source, message)


def emit_absorbed(turn: Turn, work: Work, absorbed: ProfileAbsorbed) -> None:
    """Have the survivor computed again by its owner."""
    turn.emit(
        work.source,
        Message(
            topic="profile.interactions",
            key=absorbed.profile_id,
            value=_encode(absorbed),
            type=ABSORBED,
            id=f"{absorbed.message_id}/{absorbed.absorbed}",
            time=absorbed.at,
        ),
    )


def emit_request(turn: Turn, work: Work, asked: ConsentRequested) -> None:
    """Have the person confirm what they granted."""
    turn.emit(
        work.source,
        Message(
            topic="consent.requests",
            key=asked.profile_id,
            value=_encode(asked),
            type=REQUESTED,
            id=f"{asked.statement_id}/{asked.channel}/{asked.purpose}",
            time=asked.statement_at,
        ),
    )


def forward(turn: Turn, work: Work, into: str) -> None:
    """Send the interactions on to the survivor.

    They name where resolve wrote them, so that a survivor which was rebuilt from resolve's
    store knows whether it has them, and so that other readers of the topic, who had the
    original, can tell a repetition.
    """
    for record, said in zip(work.records, work.said, strict=True):
        turn.emit(work.source, _forwarded(record, said, into))


def _forwarded(record: Record, said: Interaction, into: str) -> Message:
    origin, seq = first_of(record)
    return Message(
        topic="profile.interactions",
        key=into,
        value=_encode(msgspec.structs.replace(said, profile_id=into)),
        type=RECORDED,
        id=said.interaction_id,
        time=said.at,
        extra=(
            ("event", said.name.encode()),
            ("first_origin", origin.encode()),
            ("first_seq", str(seq).encode()),
            ("first_profile", first_key_of(record).encode()),
        ),
    )
