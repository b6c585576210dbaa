"""A source, and what may be changed about it: pure.

A source is one sender of a shop: its web pages, its app, its shop platform, its mail
provider. Its name stands in every event as ``source``.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from schemas.validation import Fault

Kind = Literal[
    "server",
    "browser",
    "mobile",
    "store",
    "shopify",
    "woocommerce",
    "webhook",
    "sendgrid",
    "ses",
    "mailgun",
    "postmark",
    "chatwoot",
    "intercom",
    "meta",
    "mail",
    "history",
]
KINDS: tuple[str, ...] = get_args(Kind)
NAME = r"^[a-z0-9-]{1,60}$"
"""What a source may be called."""
SECRET_NAME = r"^[a-z0-9_]{1,60}$"  # noqa: S105 - a pattern
MOST_KEYS = 2
"""Write keys that may be valid at once: the old one and the new one of a rotation."""
SECRET_OVERLAP = timedelta(hours=1)
"""How long the previous value of a secret is still good (Shopify's time after a rotation)."""
MOST_SECRETS = 10
LONGEST_SECRET = 4_096


class KeyHash(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A write key at rest: never the key itself."""

    id: str
    hash: str
    """SHA-256, in hex."""
    hint: str = ""
    """The last characters of the key, by which people tell keys apart."""
    created_at: datetime
    expires_at: datetime | None = None

    def valid(self, at: datetime) -> bool:
        """Whether it opens anything at that instant."""
        return self.expires_at is None or at < self.expires_at


class Source(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One sender, as it is stored and published."""

    name: str
    kind: str = "server"
    enabled: bool = True
    keys: tuple[KeyHash, ...] = ()
    secrets: dict[str, tuple[str, ...]] = {}
    """By name the sealed values, the newest first; at most two of each."""
    options: dict[str, Any] = {}
    """Of the kind: a mapping, a shop's domain."""
    default_currency: str | None = None
    default_region: str | None = None
    events_per_second: float | None = None
    """Events that each process takes of it, in the long run; None: no limit."""
    burst: int | None = None
    """Events that a process takes at once after a silence; None: see ``limiter``."""
    plan: str | None = None
    """The name of its tracking plan."""
    deleted: bool = False
    """There is none any more, and this is what is known of what it sent."""


def remains(source: Source) -> Source:
    """What is told of a deleted source: how its events go on being read, should they come again.

    Who does not know ``deleted`` sees one that is switched off, without keys.
    """
    return Source(
        name=source.name,
        kind=source.kind,
        enabled=False,
        default_region=source.default_region,
        deleted=True,
    )


def standing(source: Source, at: datetime) -> tuple[KeyHash, ...]:
    """Its keys that are valid at that instant, the oldest first."""
    return tuple(key for key in source.keys if key.valid(at))


def with_key(
    source: Source, key: KeyHash, at: datetime, overlap: timedelta | None
) -> Source | Fault:
    """``source`` with one more key; with ``overlap``, the older ones end that much later.

    Keys that have ended are dropped. Code: too_many_keys.
    """
    kept = standing(source, at)
    if overlap is not None:
        end = at + overlap
        kept = tuple(replace(one, expires_at=min(one.expires_at or end, end)) for one in kept)
        kept = tuple(one for one in kept if one.valid(at))
    if len(kept) >= MOST_KEYS:
        return Fault(
            "too_many_keys",
            f"{MOST_KEYS} keys are valid already: delete one first, or let both end at once "
            "with overlap_seconds 0.",
        )
    return replace(source, keys=(*kept, key))


def without_key(source: Source, key_id: str) -> Source | None:
    """``source`` without that key; None when it has no such key."""
    kept = tuple(key for key in source.keys if key.id != key_id)
    return None if len(kept) == len(source.keys) else replace(source, keys=kept)


def with_secret(source: Source, name: str, sealed: str) -> Source | Fault:
    """``source`` with a new value of a secret in front of the one before.

    Code: too_many_secrets.
    """
    if name not in source.secrets and len(source.secrets) >= MOST_SECRETS:
        return Fault("too_many_secrets", f"A source has at most {MOST_SECRETS} secrets.")
    values = (sealed, *source.secrets.get(name, ())[:1])
    return replace(source, secrets={**source.secrets, name: values})


def without_secret(source: Source, name: str) -> Source | None:
    """``source`` without that secret; None when it has none of this name."""
    if name not in source.secrets:
        return None
    return replace(source, secrets={k: v for k, v in source.secrets.items() if k != name})


def by_hash(sources: Mapping[str, Source]) -> dict[str, tuple[Source, KeyHash]]:
    """Every key by its hash, with the source that it opens."""
    return {key.hash: (source, key) for source in sources.values() for key in source.keys}
