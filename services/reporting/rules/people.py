"""Which of a person's states counts, and whether it differs in anything that is counted."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from services.reporting.model import LAST_VERSION, Held, Newest, Person, ProfileView, State

NOBODY = Held(0, b"", b"")
"""The contribution of a profile that was never counted."""

ERASED = LAST_VERSION + 1
"""The version at which a tombstone is held."""

_ENCODER = msgspec.json.Encoder()
_PERSON = msgspec.json.Decoder(Person)


def newest(held: Held, states: Sequence[State]) -> Newest | None:
    """Which of a turn's states stands, or None when none is newer than what is counted.

    The highest version stands, whatever order they came in. A tombstone is higher than any:
    the id of an erased profile is never used again, and nothing that comes late brings
    the person back.
    """
    latest: Newest | None = None
    version = held.version
    for index, state in enumerate(states):
        at = ERASED if state.version is None else state.version
        if at <= version:
            continue
        mixed = latest is not None and (
            latest.mixed or fingerprint(latest.profile) != fingerprint(state.profile)
        )
        version = at
        latest = Newest(index, state.profile, version, mixed)
    return latest


def tells(old: Held, newest: Newest, new: Held) -> bool:
    """Whether ``new`` must be stored in the place of ``old``.

    An unchanged contribution may stay under its older version, as long as every version up
    to the last one handled adds the same: then none of them can do harm again.
    """
    same = new.fingerprint == old.fingerprint and not newest.mixed
    return not same or not old.version or new.version == ERASED


def fingerprint(profile: ProfileView | None) -> bytes:
    """A digest of all that a person's contribution is computed from; empty for nobody.

    Most changes of a profile touch traits or computed traits only. Comparing bytes that are
    there anyway costs less than decoding orders, and unlike ``changed`` it stays right when
    compaction has removed the versions in between.
    """
    if profile is None:
        return b""
    digest = blake2b(bytes(profile.first_seen), digest_size=16)
    digest.update(b"\0")
    digest.update(bytes(profile.orders))
    return digest.digest()


def person(profile: ProfileView) -> Person:
    """The person behind a view. Raises as msgspec does when something does not fit."""
    return _PERSON.decode(_ENCODER.encode(profile))
