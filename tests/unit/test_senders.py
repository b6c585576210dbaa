"""Whom resolve believes who somebody is: by what the shop has declared of each source."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.messages import Definition
from services.profile.resolve.rules.identifiers import TRUSTED, Sender
from services.profile.resolve.senders import Declared


class Definitions:
    """What ``control.definitions`` says of one source, ``shop``."""

    revision = 1

    def __init__(self, **body: Any) -> None:
        at = datetime(2026, 3, 1, tzinfo=UTC)
        said = Definition(kind="source", name="shop", version=1, updated_at=at, body=body)
        self.current = {("source", "shop"): said}


@pytest.mark.parametrize("kind", ["browser", "mobile", "chatwoot", "intercom", "meta", "mail"])
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
