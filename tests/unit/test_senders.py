"""Whom resolve believes who somebody is: by what the shop has declared of each source."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from schemas.messages import Definition, Event, Identifier
from services.ingest.sources.model import Source, remains
from services.profile.resolve.rules.identifiers import TRUSTED, Sender, link_again, link_of
from services.profile.resolve.rules.interactions import draft
from services.profile.resolve.senders import Declared


class Definitions:
    """What ``control.definitions`` says of one source, ``shop``."""

    revision = 1

    def __init__(self, **body: Any) -> None:
        at = datetime(2026, 3, 1, tzinfo=UTC)
        said = Definition(kind="source", name="shop", version=1, updated_at=at, body=body)
        self.current = {("source", "shop"): said}


OPEN = ["browser", "mobile", "chatwoot", "intercom", "meta", "mail", "of a later version"]


@pytest.mark.parametrize("kind", OPEN)
def test_where_anybody_may_say_who_they_are_nobody_vouches_for_it(kind: str) -> None:
    assert Declared(Definitions(kind=kind)).of("shop") == Sender(untrusted=True)


@pytest.mark.parametrize(
    "kind", ["server", "store", "history", "shopify", "woocommerce", "webhook", "sendgrid", "ses"]
)
def test_a_shops_own_systems_and_its_providers_are_believed(kind: str) -> None:
    assert Declared(Definitions(kind=kind)).of("shop") == TRUSTED


def test_the_settings_speak_for_sources_that_nobody_declared() -> None:
    senders = Declared(Definitions(kind="server", default_region="AT"), ["shop", "site"], "DE")
    assert [senders.of(name) for name in ("shop", "site", "till")] == [
        Sender(region="AT"), Sender(untrusted=True, region="DE"), Sender(region="DE"),
    ]  # fmt: skip


def test_a_source_is_believed_no_more_once_it_is_deleted() -> None:
    pages = Source(name="shop", kind="browser", default_region="AT", secrets={"a": ("b",)})
    told = msgspec.to_builtins(remains(pages))
    assert Declared(Definitions(**told)).of("shop") == Sender(untrusted=True, region="AT")
    assert "secrets" not in told
    server = msgspec.to_builtins(remains(Source(name="shop")))
    assert Declared(Definitions(**server)).of("shop") == TRUSTED
    assert Declared(Definitions(**server), ["shop"]).of("shop") == Sender(untrusted=True)


TILL = "email:Till@Shop.example"


def sold(**traits: str) -> Event:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Event(
        message_id="m-1", type="track", event="Order Completed", anonymous_id="a-1", timestamp=at,
        received_at=at, source="shop", context={"traits": traits},
    )  # fmt: skip


def test_what_a_shops_tills_write_for_every_guest_names_none_of_them() -> None:
    sender = Declared(Definitions(), blocked=[TILL, "phone:+49 30 1234567"]).of("shop")
    said = sold(email="till@shop.example ", phone="030 1234567")
    link = link_of(said, Sender(region="DE", blocked=sender.blocked))
    assert link is not None
    assert (link.nodes, link.devices) == ([], [Identifier("anonymous_id", "a-1")])
    kept = draft(said, b"{}", link)
    kept.identifiers, kept.ignored = link.identifiers, link.blocked
    assert link_again(kept) == link  # When people are decided anew, nobody asks the settings.


def test_an_address_that_is_blocked_is_so_under_its_hash() -> None:
    sender = Declared(Definitions(), blocked=[TILL]).of("shop")
    hashed = "sha256_email", sha256(b"till@shop.example").hexdigest()
    said = sold(email="ann@shop.example")
    said.context["externalIds"] = [{"type": hashed[0], "id": hashed[1]}]
    link = link_of(said, sender)
    assert link is not None
    assert link.identifiers == [
        Identifier("email", "ann@shop.example"), Identifier("anonymous_id", "a-1"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["email:till", "till@shop.example", "user_id:0", "phone:17"])
def test_what_is_no_identifier_cannot_be_blocked(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no identifier"):
        Declared(Definitions(), blocked=[wrong])
