"""What a stored state covers of what comes: after a rebuild, some of it is in there already."""

import msgspec

from schemas.messages import Interaction
from services.profile.build.inbox import Work, first_of
from services.profile.build.joining import decode_vector
from services.profile.build.kept import Kept
from services.profile.build.rules.handing import known_to
from services.runtime.turn import Source


def not_covered(work: Work, kept: Kept) -> list[Interaction]:
    """The interactions that are the profile's, and not already in the state by a rebuild.

    What was sent on from a profile that is no former one of this person will be read from
    the store, by whoever's it is.
    """
    if not kept.vector and not kept.rearranged and not work.forwarded:
        return work.said  # as nearly always
    vector, said = kept.vector, list[Interaction]()
    for record, interaction in zip(work.records, work.said, strict=True):
        origin, seq = first_of(record)
        first = record.header("first_profile")
        foreign = bool(first) and first not in kept.members
        joined = kept.joined.get(first)
        covered = vector if joined is None else decode_vector(joined)
        if (origin not in covered or seq > covered[origin]) and not foreign:
            handed = interaction.handed_to is not None
            said.append(known_to(interaction, kept.members) if handed else interaction)
    return said


def opened(work: Work, kept: Kept | None) -> Kept:
    """What is to be rebuilt of a profile that is, or is again, one of its own."""
    kept = kept or Kept()
    if kept.unread:
        kept.rearranged = kept.rearranged or work.rearranged is not None
        return kept
    rearranged = kept.rearranged or kept.into is not None or work.rearranged is not None
    return msgspec.structs.replace(kept, into=None, rearranged=rearranged)


def is_history(work: Work, old: Kept, new: Kept) -> bool:
    """Whether a rebuild brought nothing but imported history.

    It reads all that is stored, also what has yet to arrive here: then there are more live
    interactions than the profiles had been announced with.
    """
    if work.rearranged is not None:
        return work.rearranged.history
    if work.rebuild or (old.version and old.fingerprint != new.fingerprint):
        return False
    known = old.state.live + sum(absorbed.live for absorbed in work.absorbed)
    imported = all(absorbed.history for absorbed in work.absorbed)
    return imported and new.state.live == known


def forget_vector(source: Source, kept: Kept) -> None:
    """Drop entries that cannot matter any more.

    The stage itself drops records up to ``source.origins``. Only a person with former
    profile ids can still get older ones, forwarded from another partition.
    """
    if not kept.members and not kept.rearranged:
        done = source.origins
        kept.vector = {o: seq for o, seq in kept.vector.items() if done.get(o, 0) < seq}
