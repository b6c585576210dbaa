"""The secrets of subscriptions: made here, kept sealed, rotated with an overlap."""

import os
from collections.abc import Sequence
from datetime import datetime

from services.profile.feed.model import OVERLAP
from services.profile.feed.signature import SECRET_BYTES, secret_of
from services.runtime.seals import Seals, sealed_at


def new_secret() -> str:
    """A secret that nobody has seen."""
    return secret_of(os.urandom(SECRET_BYTES))


def current(seals: Seals, sealed: Sequence[str], now: datetime) -> list[str]:
    """Those that sign: the newest, and the one before for ``OVERLAP`` after it was replaced."""
    good = [*sealed[:1]]
    if len(sealed) > 1 and now < sealed_at(sealed[0]) + OVERLAP:
        good.append(sealed[1])
    return [secret for one in good if (secret := seals.open(one)) is not None]
