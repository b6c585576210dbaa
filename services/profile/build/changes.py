"""What one turn changes: the rows to store, the cache, and what is said of it."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from services.profile.build import outbox
from services.profile.build.inbox import Work
from services.profile.build.kept import Kept, encode
from services.profile.build.model import State
from services.profile.build.packed import Packed, packed
from services.profile.build.rules.before import Earlier
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.confirming import requests_of
from services.profile.build.rules.consent import OPEN, Policy, overruled, readdressed
from services.profile.build.rules.mailbox import TOUCHED as MAILBOX
from services.profile.build.rules.orders import orders_of
from services.profile.build.rules.parts import forget
from services.profile.build.rules.view import Search, search_of
from services.profile.commerce.model import Worth
from services.profile.commerce.rules.rates import NO_RATES, Table, worth_of
from services.runtime.cache import Cache
from services.runtime.turn import Turn

_SEARCHED = ("traits.", "identifiers.", "merged_from")
"""What names begin with of which ``Search`` is made."""


class Row(Struct, gc=False):
    """One profile as it is stored, without the state as objects: that is gone by then."""

    profile_id: str
    partition: int
    version: int
    into: str | None
    fingerprint: str
    last_seen: datetime | None
    rearranged: bool
    rates: str | None
    """Fingerprint of what the orders were valued at; empty: at nothing; None: no orders."""
    stored: bytes
    """The encoded ``Kept``; empty: what is stored stays, whatever it is."""
    search: Search | None
    """None: as it was."""


def row_of(profile_id: str, partition: int, kept: Kept, told: tuple[bytes, Search | None]) -> Row:
    """``kept`` as it is to be stored; ``told`` are ``Row.stored`` and ``Row.search``."""
    rates = None if kept.worth is None else kept.worth.rates
    return Row(
        profile_id,
        partition,
        kept.version,
        kept.into,
        kept.fingerprint,
        kept.state.last_seen,
        kept.rearranged,
        "" if rates is None and kept.state.orders else rates,
        *told,
    )


class Limits(Struct, frozen=True):
    """How much one turn may hold."""

    cached: int = 100_000
    """States kept in memory by a worker."""
    swept: int = 200
    """Profiles that one firing of the sweep takes up."""
    rebuilt: int = 50_000
    """Interactions read back in one turn; what is beyond comes with a later turn."""
    state_bytes: int = 8_000_000
    """A profile that would grow beyond this takes no more: a document holds 16 MB."""


class Changes:
    """Collects a turn's changes; ``rows`` are to be stored in its transaction."""

    def __init__(
        self,
        turn: Turn,
        traits: Traits,
        cache: Cache[Packed],
        limits: Limits,
        *,
        policy: Policy = OPEN,
        rates: Table = NO_RATES,
    ) -> None:
        self._rates = rates
        self._turn = turn
        self._policy = policy
        self._traits = traits
        self._cache = cache
        self._limits = limits
        self.rows: list[Row] = []
        self.left = 0
        """Profiles that could not be rebuilt: too large."""

    def announce(self, profile_id: str, work: Work, kept: Kept, touched: set[str]) -> bool:
        """Store a profile and, where anything is ``touched``, tell of it as a new version.

        False if it is too large to be stored: then the turn's interactions are rejected.
        """
        state = kept.state
        if touched:
            forget(kept.made, touched)
        if (state.orders or kept.worth is not None) and self._revalue(kept, touched):
            touched.add("revenue_base")
        if state.consent and work.earlier is not None:
            self._judge(work.earlier, state, touched)
        if touched:
            kept.version += 1
        stored = encode(kept)
        if len(stored) > self._limits.state_bytes:
            self._cache.evict(profile_id)
            self.refuse(work)
            return False
        search = search_of(state) if kept.version <= 1 or _is_searched(touched) else None
        if touched:
            what = (touched, self._traits, self._policy)
            outbox.emit_changed(self._turn, work, profile_id, kept, what)
            if state.consent and not work.history:
                self._ask(profile_id, work, kept, touched)
        self._put(profile_id, work, kept, (stored, search))  # with the parts just made
        return True

    def refuse(self, work: Work) -> None:
        """Take nothing of what comes for a profile that is too large."""
        for record in work.records:
            self._turn.reject(record, "profile_too_large")

    def _judge(self, earlier: Earlier, state: State, touched: set[str]) -> None:
        """Add to ``touched`` the consent that nobody spoke of, and is judged otherwise now."""
        if not touched.isdisjoint(MAILBOX):
            touched |= readdressed(earlier.addressed(), state, self._policy)
        if len(state.consent) > 1 and any(name.startswith("consent.") for name in touched):
            touched |= overruled(earlier.addressed(), state, touched, self._policy)

    def _ask(self, profile_id: str, work: Work, kept: Kept, touched: set[str]) -> None:
        """Have confirmed what must be, unless nothing but imported history touched it."""
        how = (self._policy, work.said)
        for asked in requests_of(profile_id, kept, touched, how):
            outbox.emit_request(self._turn, work, asked)

    def revalue(self, profile_id: str, work: Work, kept: Kept) -> None:
        """Value the orders at the rates of now, whatever they were valued at."""
        work.earlier = Earlier(kept)
        if kept.worth is None:
            kept.worth = Worth("", self._rates.base or "", None, [])
        self.announce(profile_id, work, kept, set())

    def _revalue(self, kept: Kept, touched: set[str]) -> bool:
        """Bring ``kept.worth`` up to date; whether what it says is something else now."""
        rates, old = self._rates, kept.worth
        if old is None and rates.base is None:
            return False
        if old is not None and "orders" not in touched and rates.gave(old):
            return False
        kept.worth = new = worth_of(orders_of(kept.state), rates)
        return (old and (old.base, old.amount, old.missing)) != (
            new and (new.base, new.amount, new.missing)
        )

    def leave(self, profile_id: str, work: Work, kept: Kept, fingerprint: str) -> None:
        """Keep a profile that cannot be rebuilt as it is, and out of every further sweep."""
        self.left += 1
        passed = msgspec.structs.replace(kept, fingerprint=fingerprint)
        stored = b"" if kept.unread else encode(kept)
        self.rows.append(row_of(profile_id, work.source.partition, passed, (stored, None)))

    def close(self, profile_id: str, work: Work, kept: Kept, into: str) -> None:
        """Make the profile a redirect.

        Its interactions of this turn are stored under it, so the survivor's rebuild, which
        comes later, reads them.
        """
        if kept.into == into:
            self._turn.drop("merged_already")
            self.follow(work, into)
            return
        if work.said:
            self._turn.drop("absorbed", len(work.said))
        rearranged = kept.rearranged or kept.into is not None or work.rearranged is not None
        closed = Kept(version=kept.version + 1, into=into, rearranged=rearranged)
        self._put(profile_id, work, closed, (encode(closed), None))
        outbox.emit_redirect(self._turn, work, profile_id, (closed, kept.state.live))

    def follow(self, work: Work, into: str) -> None:
        """Pass on to the survivor what comes for a profile that was absorbed."""
        outbox.forward(self._turn, work, into)
        for absorbed in work.absorbed:
            to_survivor = msgspec.structs.replace(absorbed, profile_id=into)
            outbox.emit_absorbed(self._turn, work, to_survivor)

    def _put(
        self, profile_id: str, work: Work, kept: Kept, stored: tuple[bytes, Search | None]
    ) -> None:
        self.rows.append(row_of(profile_id, work.source.partition, kept, stored))
        work.earlier = None  # All that was decoded of the profile ends here, while it is at hand.
        held = packed(kept, stored[0])
        if work.said or work.absorbed:
            self._cache.put(work.source.id, profile_id, held)
        else:  # A sweep goes through everybody: it must not drive out who is busy.
            self._cache.renew(work.source.id, profile_id, held)


def _is_searched(touched: Iterable[str]) -> bool:
    for name in touched:  # noqa: SIM110 - a generator costs more than all that it looks at
        if name.startswith(_SEARCHED):
            return True
    return False
