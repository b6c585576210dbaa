"""Whether somebody is told that an order was handed on."""

import pytest
from msgspec.structs import replace

from services.profile.build.rules.handing import known_to
from tests.people import ordered


@pytest.mark.parametrize(
    ("handed_to", "told"), [("p1", None), ("former", None), ("another", "another")]
)
def test_who_became_one_with_whom_an_order_was_handed_to_has_it(
    handed_to: str, told: str | None
) -> None:
    said = replace(ordered(), handed_to=handed_to)
    assert known_to(said, ["former"]) == replace(said, handed_to=told)
