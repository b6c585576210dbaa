"""The turn's records, decoded and grouped by the profile that they are about."""

from collections.abc import Callable

import msgspec
from msgspec import Struct, field

from schemas.messages import IdentityMerged, IdentityRearranged, Interaction, ProfileAbsorbed
from schemas.topics import MEANT_FOR
from services.profile.build.rules.before import Earlier
from services.runtime.turn import Record, Source, Turn

RECORDED = "regulars.interaction.recorded.v1"
MERGED = "regulars.identity.merged.v1"
REARRANGED = "regulars.identity.rearranged.v1"
ABSORBED = "regulars.profile.absorbed.v1"
CHANGED = "regulars.profile.changed.v1"


class Work(Struct):
    """What one turn has for one profile."""

    source: Source
    """Of the last record: what follows is attributed to it."""
    records: list[Record] = field(default_factory=list)
    """Of interactions."""
    said: list[Interaction] = field(default_factory=list)
    """What ``records`` say, one each."""
    forwarded: bool = False
    """Some of ``records`` were sent on from a former profile id, or from another's."""
    merged: IdentityMerged | None = None
    rearranged: IdentityRearranged | None = None
    absorbed: list[ProfileAbsorbed] = field(default_factory=list)
    rebuild: bool = False
    """A timer asks for it."""

    history: bool = False
    """Nothing but imported history is behind what it changes: known once it is folded."""
    revalue: bool = False
    """Exchange rates have changed since its orders were valued."""
    earlier: Earlier | None = None
    """The profile before the turn, if it had been announced by then."""

    @property
    def identity(self) -> bool:
        """Whether resolve must be asked what the profile is now."""
        return self.merged is not None or self.rearranged is not None or self.rebuild


def works_of(turn: Turn) -> dict[str, Work]:
    """The turn's records by profile id; rejects what does not fit."""
    works: dict[str, Work] = {}
    for record in turn.records:
        try:
            message = record.ahead or read(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            turn.reject(record, "not_as_declared", type(error).__name__)
            continue
        if message is None:
            turn.reject(record, "unknown_type", record.header("ce_type")[:100])
            continue
        profile_id = message.profile_id
        if record.key != profile_id.encode():
            # Another partition's owner would be writing this profile.
            turn.reject(record, "key_is_not_the_profile")
            continue
        work = works.get(profile_id)
        if work is None:
            work = works[profile_id] = Work(record.source)
        if isinstance(message, Interaction):
            if MEANT_FOR in record.headers:
                # Replayed: a rebuild counts what resolve has stored, once, whatever was folded.
                work.rebuild = True
            else:
                work.records.append(record)
                work.said.append(message)
                if "first_profile" in record.headers:
                    work.forwarded = True
        elif isinstance(message, IdentityMerged):
            work.merged = message
        elif isinstance(message, IdentityRearranged):
            work.rearranged = message
        else:
            work.absorbed.append(message)
    return works


def read(record: Record) -> "Message | None":
    """What a record says, decoded; None for a type that build does not know.

    Raises what decoding raises. Nobody changes what it gives.
    """
    decode = _READERS.get(record.headers.get("ce_type", b""))
    return None if decode is None else decode(record.value or b"")


Message = Interaction | IdentityMerged | IdentityRearranged | ProfileAbsorbed

_READERS: dict[bytes, Callable[[bytes], Message]] = {
    RECORDED.encode(): msgspec.json.Decoder(Interaction).decode,
    MERGED.encode(): msgspec.json.Decoder(IdentityMerged).decode,
    REARRANGED.encode(): msgspec.json.Decoder(IdentityRearranged).decode,
    ABSORBED.encode(): msgspec.json.Decoder(ProfileAbsorbed).decode,
}


def first_of(record: Record) -> tuple[str, int]:
    """(origin, seq) under which resolve first wrote what the record says."""
    origin, seq = record.header("first_origin"), record.header("first_seq")
    if not origin:
        origin, seq = record.header("origin"), record.header("seq")
    return origin, int(seq) if seq.isdecimal() else 0


def first_key_of(record: Record) -> str:
    """The profile id that resolve first wrote the record for."""
    return record.header("first_profile") or (record.key or b"").decode("utf-8", "replace")
