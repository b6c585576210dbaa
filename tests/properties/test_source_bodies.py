"""Whatever somebody says of a source is either stored as it was said, or named as wrong."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.ingest.sources.model import KINDS, Source
from services.ingest.sources.shapes import SecretBody, SourceBody

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63)
    | st.floats()
    | st.text(st.characters(), max_size=20),  # half an emoji, too
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(KINDS) | ANYTHING,
        "enabled": st.booleans() | ANYTHING,
        "options": st.dictionaries(st.text(max_size=9), ANYTHING, max_size=4) | ANYTHING,
        "default_currency": st.sampled_from(("EUR", "XXX", "")) | ANYTHING,
        "default_region": st.sampled_from(("DE", "de", "DEU")) | ANYTHING,
        "events_per_second": st.floats() | ANYTHING,
        "burst": st.integers() | ANYTHING,
        "plan": st.sampled_from(("shop", "Shop!")) | ANYTHING,
    },
)


def told(body: Any) -> Any:
    """As it arrives: Python's JSON takes NaN, Infinity and lone halves of characters."""
    return json.loads(json.dumps(body))


@given(BODIES | ANYTHING)
def test_a_source_that_is_taken_is_read_as_it_was_stored(body: Any) -> None:
    try:
        said = SourceBody.model_validate(told(body))
    except ValidationError:
        return
    source = Source(name="web", **said.model_dump())
    assert msgspec.json.decode(msgspec.json.encode(source), type=Source) == source
    assert msgspec.convert(msgspec.to_builtins(source), Source) == source


@given(st.text(st.characters(), max_size=40))
def test_a_secret_that_is_taken_can_be_sealed(value: str) -> None:
    try:
        said = SecretBody.model_validate(told({"value": value}))
    except ValidationError:
        return
    assert said.value.encode().decode() == value
