"""Which of a person's states counts, and whether it differs in anything that is counted."""

from hashlib import blake2b

import msgspec

from services.reporting.model import Held, Newest, Person, ProfileView

NOBODY = Held(0, b"", b"")
"""The contribution of a profile that was never counted."""

_ENCODER = msgspec.json.Encoder()
_PERSON = msgspec.json.Decoder(Person)


def newer(before: Newest | None, profile: ProfileView | None, version: int | None) -> Newest:
    """The state that stands after one more record of the same profile.

    ``version`` None is a tombstone, which has none: it comes after whatever was read before
    it. Else the higher version stands, and no profile means that it was merged away.
    """
    seen = 0 if before is None else before.version
    if version is None:
        return Newest(None, seen, erased=True)
    if before is not None and version <= seen:
        return before
    return Newest(profile, version)


def outdated(newest: Newest, held: Held) -> bool:
    """Whether this state, or a later one, is counted already."""
    return not newest.erased and newest.version <= held.version


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
