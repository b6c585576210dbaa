"""Sources: whose key opens what, when; secrets sealed; rotation as data."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import pytest
from cryptography.fernet import Fernet

from schemas.messages import Definition
from schemas.validation import Fault
from services.ingest.sources.directory import Directory, Unknown
from services.ingest.sources.model import (
    KeyHash,
    Source,
    remains,
    standing,
    with_key,
    with_secret,
    without_key,
    without_secret,
)
from services.ingest.sources.register import Register, Stored
from services.ingest.sources.seals import NoSecretKeys, Seals
from services.runtime.keys import digest
from services.runtime.turn import Message
from tests.ingesting import Published

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def key(secret: str, ends: datetime | None = None, at: datetime = NOON) -> KeyHash:
    return KeyHash(id=f"id-{secret}", hash=digest(secret), created_at=at, expires_at=ends)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


# -- keys --------------------------------------------------------------------------------


def test_a_second_key_stands_beside_the_first_and_a_third_is_refused() -> None:
    one = with_key(Source(name="web"), key("a"), NOON, None)
    assert one == Source(name="web", keys=(key("a"),))
    two = with_key(one, key("b"), NOON, None)
    assert two == Source(name="web", keys=(key("a"), key("b")))
    three = with_key(two, key("c"), NOON, None)
    assert isinstance(three, Fault)
    assert three.code == "too_many_keys"


def test_an_overlap_gives_older_keys_an_end_and_never_a_later_one() -> None:
    soon = NOON + timedelta(minutes=5)
    source = Source(name="web", keys=(key("a", ends=soon),))
    assert with_key(source, key("b"), NOON, HOUR) == Source(
        name="web", keys=(key("a", ends=soon), key("b"))
    )
    source = Source(name="web", keys=(key("a"),))
    assert with_key(source, key("b"), NOON, HOUR) == Source(
        name="web", keys=(key("a", ends=NOON + HOUR), key("b"))
    )


def test_no_overlap_at_all_leaves_the_new_key_alone() -> None:
    source = Source(name="web", keys=(key("a"), key("b")))
    assert with_key(source, key("c"), NOON, timedelta(0)) == Source(name="web", keys=(key("c"),))


def test_a_key_that_has_ended_makes_room() -> None:
    source = Source(name="web", keys=(key("a", ends=NOON), key("b")))
    assert standing(source, NOON) == (key("b"),)
    assert with_key(source, key("c"), NOON, None) == Source(name="web", keys=(key("b"), key("c")))


def test_a_key_is_deleted_by_its_id() -> None:
    source = Source(name="web", keys=(key("a"), key("b")))
    assert without_key(source, "id-a") == Source(name="web", keys=(key("b"),))
    assert without_key(source, "id-c") is None


# -- secrets -----------------------------------------------------------------------------


def test_a_secret_keeps_the_value_before_and_no_older_one() -> None:
    source = Source(name="shop")
    for value in ("first", "second", "third"):
        changed = with_secret(source, "app_secret", value)
        assert isinstance(changed, Source)
        source = changed
    assert source.secrets == {"app_secret": ("third", "second")}
    assert without_secret(source, "app_secret") == Source(name="shop")
    assert without_secret(source, "other") is None


def test_the_eleventh_secret_is_refused() -> None:
    source = Source(name="shop", secrets={f"s{number}": ("x",) for number in range(10)})
    fault = with_secret(source, "one_more", "x")
    assert isinstance(fault, Fault)
    assert fault.code == "too_many_secrets"
    assert isinstance(with_secret(source, "s3", "x"), Source)


def test_a_sealed_secret_is_not_readable_and_opens_with_any_key() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = Seals([old]).seal("hush", NOON)
    assert "hush" not in sealed
    assert Seals([new, old]).open(sealed) == "hush"
    assert Seals([new]).open(sealed) is None
    assert Seals([]).open(sealed) is None
    assert Seals([old]).open("no seal at all") is None


def test_without_keys_nothing_is_sealed() -> None:
    with pytest.raises(NoSecretKeys):
        Seals([]).seal("hush", NOON)


def test_a_bad_secret_key_is_named_and_not_shown() -> None:
    with pytest.raises(ValueError, match="REGULARS_SECRET_KEYS") as caught:
        Seals(["too-short-a-key"])
    assert "too-short-a-key" not in str(caught.value)


def test_the_previous_secret_is_good_for_an_hour_after_the_rotation() -> None:
    clock = Clock()
    seals = Seals([Fernet.generate_key().decode()])
    directory = Directory({}, seals, clock, Published())
    before, after = seals.seal("before", NOON - HOUR), seals.seal("after", NOON)
    source = Source(name="shop", secrets={"app_secret": (after, before)})
    assert directory.secrets(source, "app_secret") == ["after", "before"]
    clock.now = NOON + HOUR - timedelta(seconds=1)
    assert directory.secrets(source, "app_secret") == ["after", "before"]
    clock.now = NOON + HOUR
    assert directory.secrets(source, "app_secret") == ["after"]
    assert directory.secrets(source, "other") == []


# -- the directory -----------------------------------------------------------------------


def directory_of(published: Published | None, clock: Clock) -> Directory:
    return Directory({digest("static").upper(): "storefront"}, Seals([]), clock, published)


def test_a_published_source_is_found_by_its_key_and_by_its_name() -> None:
    published, clock = Published(), Clock()
    directory = directory_of(published, clock)
    assert directory.by_key("fresh") is None
    source = Source(name="web", kind="browser", keys=(key("fresh"),))
    published.put(source)
    assert directory.by_key("fresh") == source
    assert directory.by_name("web") == source
    assert directory.by_key(sha256(b"fresh").hexdigest()) is None
    assert directory.names() == ["storefront", "web"]


def test_a_deleted_source_opens_nothing() -> None:
    published, clock = Published(), Clock()
    directory = directory_of(published, clock)
    published.put(Source(name="web", keys=(key("fresh"),)))
    assert directory.by_key("fresh") is not None
    for gone in (published.drop, lambda name: published.put(remains(Source(name=name)))):
        gone("web")
        assert directory.by_key("fresh") is None
        assert directory.by_name("web") is None
        assert directory.names() == ["storefront"]


class Kept:
    """Stored sources, and what was sent of them."""

    def __init__(self) -> None:
        self.latest: Stored | None = None
        self.sent: list[Message] = []

    async def get(self, name: str) -> Stored | None:
        return self.latest

    async def put(self, stored: Stored) -> bool:
        self.latest = stored
        return True

    async def unpublished(self) -> list[Stored]:
        return []

    async def published(self, stored: Stored) -> None: ...

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_of_a_deleted_source_its_kind_is_told_so_that_nobody_believes_it_later() -> None:
    kept = Kept()
    register = Register(kept, kept, lambda: NOON)
    pages = Source(name="web", kind="browser", keys=(key("fresh"),), default_region="AT")
    for body in (pages, None):
        await register.change("web", lambda _, body=body: body)
    left = Source(name="web", kind="browser", enabled=False, default_region="AT", deleted=True)
    assert kept.latest == Stored(name="web", version=2, at=NOON, body=None, former=left)
    last = kept.sent[-1]
    assert last.key == "source/web"
    assert last.value is not None
    assert msgspec.json.decode(last.value, type=Definition) == Definition(
        kind="source", name="web", version=2, updated_at=NOON, body=msgspec.to_builtins(left)
    )


def test_a_key_ends_at_its_instant_without_any_change() -> None:
    published, clock = Published(), Clock()
    directory = directory_of(published, clock)
    published.put(Source(name="web", keys=(key("a", ends=NOON + HOUR), key("b"))))
    generation = directory.generation
    assert directory.by_key("a") is not None
    clock.now = NOON + HOUR
    assert directory.by_key("a") is None
    assert directory.by_key("b") is not None
    assert directory.generation > generation


def test_a_static_key_opens_the_published_source_of_its_name() -> None:
    published, clock = Published(), Clock()
    directory = directory_of(published, clock)
    assert directory.by_key("static") == Source(name="storefront")
    limited = Source(name="storefront", events_per_second=5.0)
    published.put(limited)
    assert directory.by_key("static") == limited
    assert directory.static("storefront")
    assert not directory.static("web")


def test_before_the_sources_are_read_only_static_keys_can_be_judged() -> None:
    directory = directory_of(None, Clock())
    assert not directory.complete
    assert directory.by_key("static") == Source(name="storefront")
    with pytest.raises(Unknown):
        directory.by_key("fresh")
    published = Published()
    published.put(Source(name="web", keys=(key("fresh"),)))
    directory.follow(published)
    assert directory.complete
    assert directory.by_key("fresh") is not None


def test_a_definition_that_does_not_fit_costs_no_other_source() -> None:
    published, clock = Published(), Clock()
    published.put(Source(name="web", keys=(key("fresh"),)))
    published.put(Source(name="odd"))
    published.current["source", "odd"].body["enabled"] = "perhaps"
    directory = directory_of(published, clock)
    assert directory.names() == ["storefront", "web"]
