"""Which of a person's states counts, and whether it differs in anything that is counted."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from services.reporting.model import Held, Newest, Person, ProfileView, State

NOBODY = Held(0, b"", b"")
"""The contribution of a profile that was never counted."""

_ENCODER = msgspec.json.Encoder()
_PERSON = msgspec.json.Decoder(Person)


def newest(held: Held, states: Sequence[State]) -> Newest | None:
    """Which of a turn's states stands, or None when none is newer than what is counted.

    The highest version stands, whatever order they came in; a tombstone ends what was
    there when it came.
    """
    latest: Newest | None = None
    version = held.version
    for index, state in enumerate(states):
        if state.version is not None and state.version <= version:
            continue
        mixed = latest is not None and (
            latest.mixed or fingerprint(latest.profile) != fingerprint(state.profile)
        )
        version = version if state.version is None else state.version
        latest = Newest(index, state.profile, version, mixed)
    return latest


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
