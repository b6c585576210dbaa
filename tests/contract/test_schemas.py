"""The contract in ``schemas/``: documents, Structs and examples say the same."""

import json
import re
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as shapes

from schemas import generate, payloads, topics, validation
from schemas.jsonschema import DOCUMENTED, MESSAGES
from schemas.messages import Event
from tests.contract.conformance import SCHEMAS, asyncapi, problems, references, validator
from tests.tried import tried

STRUCTS = {struct.__name__: struct for struct in DOCUMENTED}
GOOD = sorted((SCHEMAS / "examples" / "good").glob("*.json"))


def message_of(example: Path) -> str:
    """``Event.order-completed.json`` is an example of ``Event``."""
    return example.name.split(".")[0]


def read(example: Path) -> Any:
    return json.loads(example.read_text())


def identity(example: Path) -> str:
    return example.stem


good = pytest.mark.parametrize("example", GOOD, ids=identity)


def test_every_message_and_every_kind_of_properties_has_a_good_example() -> None:
    assert {message_of(example) for example in GOOD} == set(STRUCTS)


@good
def test_a_good_example_is_valid_by_its_json_schema(example: Path) -> None:
    errors = validator(message_of(example)).iter_errors(read(example))
    assert [error.message for error in errors] == []


@good
def test_a_good_example_survives_decoding_and_encoding(example: Path) -> None:
    struct = STRUCTS[message_of(example)]
    once = msgspec.json.decode(example.read_bytes(), type=struct)
    again = msgspec.json.decode(msgspec.json.encode(once), type=struct)
    assert again == once


@pytest.mark.parametrize(
    "example", [one for one in GOOD if message_of(one) == "Event"], ids=identity
)
def test_the_numbers_of_an_event_stay_exact(example: Path) -> None:
    decoder = msgspec.json.Decoder(STRUCTS["Event"], float_hook=Decimal)
    once = decoder.decode(example.read_bytes())
    raw = msgspec.json.Encoder(decimal_format="number").encode(once)
    assert decoder.decode(raw) == once
    sent, kept = (
        json.loads(text, parse_float=Decimal).get("properties", {})
        for text in (example.read_bytes(), raw)
    )
    assert kept == sent


@good
def test_fields_that_a_reader_does_not_know_do_not_disturb_it(example: Path) -> None:
    struct = STRUCTS[message_of(example)]
    body = read(example)
    newer = with_unknown_fields(body, shapes.type_info(struct))
    assert newer != body
    assert list(validator(message_of(example)).iter_errors(newer)) == []
    assert msgspec.json.decode(json.dumps(newer), type=struct) == msgspec.json.decode(
        json.dumps(body), type=struct
    )


def with_unknown_fields(value: Any, kind: shapes.Type) -> Any:
    """The same JSON with one more field in every object that is a Struct to a reader."""
    if isinstance(kind, shapes.UnionType):
        for one in kind.types:
            value = with_unknown_fields(value, one)
        return value
    if isinstance(kind, shapes.Metadata):
        return with_unknown_fields(value, kind.type)
    if isinstance(kind, shapes.StructType) and isinstance(value, dict):
        known = {field.encode_name: field.type for field in kind.fields}
        inner = {
            name: with_unknown_fields(part, known[name]) if name in known else part
            for name, part in value.items()
        }
        return {**inner, "not_invented_yet": {"by": "a newer writer"}}
    if isinstance(kind, shapes.ListType | shapes.VarTupleType) and isinstance(value, list):
        return [with_unknown_fields(part, kind.item_type) for part in value]
    if isinstance(kind, shapes.DictType) and isinstance(value, dict):
        return {name: with_unknown_fields(part, kind.value_type) for name, part in value.items()}
    return value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def values(kind: shapes.Type) -> st.SearchStrategy[Any]:
    """Values that a field of this type may hold."""
    match kind:
        case shapes.StructType(cls=struct):
            return structs(struct)
        case shapes.UnionType(types=types):
            return st.one_of(*(values(one) for one in types))
        case shapes.Metadata(type=inner):
            return values(inner)
        case shapes.ListType(item_type=item):
            return st.lists(values(item), max_size=3)
        case shapes.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=3).map(tuple)
        case shapes.DictType(value_type=value):
            return st.dictionaries(st.text(max_size=8), values(value), max_size=3)
        case shapes.LiteralType(values=literals):
            return st.sampled_from(literals)
        case shapes.DateTimeType():
            return st.datetimes(timezones=st.just(UTC))
        case shapes.DecimalType():
            return st.decimals(1 - 10**12, 10**12 - 1, places=4)
        case shapes.RawType():
            return JSON.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
        case shapes.NoneType():
            return st.none()
        case shapes.BoolType():
            return st.booleans()
        case shapes.IntType():
            return st.integers(-(2**63), 2**63 - 1)
        case shapes.StrType():
            return st.text(max_size=12)
        case shapes.AnyType():
            return JSON
    raise AssertionError(f"no strategy for {kind}")


def structs(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any value of a message, every field filled in."""
    kind = shapes.type_info(struct)
    assert isinstance(kind, shapes.StructType)
    fields = {field.name: values(field.type) for field in kind.fields}
    return st.builds(struct, **fields)


@pytest.mark.parametrize("name", sorted(STRUCTS))
@tried(40)
@given(data=st.data())
def test_whatever_a_message_says_is_read_back_and_fits_its_schema(
    name: str, data: st.DataObject
) -> None:
    message = data.draw(structs(STRUCTS[name]))
    raw = msgspec.json.encode(message)
    assert msgspec.json.decode(raw, type=STRUCTS[name]) == message
    assert list(validator(name).iter_errors(json.loads(raw))) == []


def test_generated_files_are_up_to_date() -> None:
    assert generate.stale(generate.render()) == []


def test_a_changed_a_missing_and_a_left_over_file_are_called_stale(
    tmp_path: Path,
) -> None:
    files = generate.render(tmp_path)
    generate.write(files, tmp_path)
    assert generate.stale(files, tmp_path) == []
    (tmp_path / "json" / "Event.json").write_text("{}")
    (tmp_path / "asyncapi.yaml").unlink()
    (tmp_path / "json" / "Gone.json").write_text("{}")
    assert [path.name for path in generate.stale(files, tmp_path)] == [
        "asyncapi.yaml",
        "Event.json",
        "Gone.json",
    ]
    generate.write(files, tmp_path)
    assert generate.stale(files, tmp_path) == []


def test_the_asyncapi_document_has_every_topic_with_its_configuration() -> None:
    channels = asyncapi()["channels"]
    assert list(channels) == [topic.name for topic in topics.ALL]
    for topic in topics.ALL:
        binding = channels[topic.name]["bindings"]["kafka"]
        assert (binding["topic"], binding["partitions"]) == (
            topic.name,
            topic.partitions,
        )
        assert binding["topicConfiguration"]["cleanup.policy"] == [topic.cleanup]


def test_the_asyncapi_document_has_every_writer_and_reader() -> None:
    said = {
        (
            operation["action"],
            operation["channel"]["$ref"].removeprefix("#/channels/"),
            name,
        )
        for name, operation in asyncapi()["operations"].items()
    }
    assert len(said) == sum(len(topic.writers) + len(topic.readers) for topic in topics.ALL)


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = list(references(document))
    assert len(found) > 100
    for reference in found:
        place: Any = document
        for token in reference.removeprefix("#/").split("/"):
            place = place[token.replace("~1", "/").replace("~0", "~")]
        assert place


def test_every_topic_names_structs_that_exist() -> None:
    named = {payload.body for payloads in payloads.MESSAGES.values() for payload in payloads}
    assert named - {""} == {struct.__name__ for struct in MESSAGES} - {
        "ComputedTrait",
        "TraitSources",
        "Rates",
    }
    others = (topics.DEFINITIONS, topics.PRIVACY_REQUESTS)
    assert set(payloads.MESSAGES) == {topic.name for topic in (*topics.FLOW, *others)}


HEADERS = {
    "ce_specversion": b"1.0",
    "ce_id": b"msg-8f2c/sent",
    "ce_source": b"regulars/notifier",
    "ce_type": b"regulars.message.sent.v1",
    "ce_time": b"2026-03-14T09:26:53Z",
    "ce_subject": b"p-01JPA3",
    "content-type": b"application/json",
    "origin": b"notifier/segment.changes/3",
    "seq": b"17",
}


def test_a_record_that_keeps_the_contract_has_no_problems() -> None:
    value = (SCHEMAS / "examples" / "good" / "MessageChanged.sent.json").read_bytes()
    assert problems("message.changes", value, HEADERS) == []
    assert (
        problems(
            "profile.changes",
            None,
            HEADERS | {"ce_type": b"regulars.profile.erased.v1"},
        )
        == []
    )


def test_a_dead_letter_says_why_and_its_replay_says_which() -> None:
    facts = ("reason", "detail", "topic", "partition", "offset", "stage", "at")
    letter = {f"dl_{fact}": b"x" for fact in facts}
    assert problems("events.orders.dead", b"\xff no json", letter) == []
    assert problems("events.orders.dead", None, {"dl_replayed": b"events.orders/2/17"}) == []
    del letter["dl_reason"]
    assert len(problems("events.orders.dead", b"{}", letter)) == 1


@pytest.mark.parametrize(
    ("value", "headers", "problem"),
    [
        (b"{}", {}, "'profile_id' is a required property"),
        (None, {}, "no message without value is"),
        (b"{}", {"ce_type": b"regulars.message.burnt.v1"}, "no message with value is"),
        (b"{}", {"seq": b"-1"}, "'-1' does not match"),
        (b"{}", {"ce_specversion": b"0.3"}, "'1.0' was expected"),
    ],
)
def test_a_record_that_breaks_the_contract_is_told_how(
    value: bytes | None, headers: dict[str, bytes], problem: str
) -> None:
    found = problems("message.changes", value, HEADERS | headers)
    assert any(problem in one for one in found), found


REJECTED = sorted((SCHEMAS / "examples" / "rejected").glob("*.json"))
rejected = pytest.mark.parametrize("example", REJECTED, ids=identity)


def refusal(message: str, raw: bytes) -> str | None:
    """Why the shared validation refuses the bytes of a message, as a code; None if it fits."""
    fault = validation.check_body(raw)
    if fault is not None:
        return fault.code
    decoder = msgspec.json.Decoder(STRUCTS[message], float_hook=Decimal)
    try:
        decoded = decoder.decode(raw)
    except msgspec.ValidationError:
        return "wrong_type"
    fault = validation.check(decoded) if isinstance(decoded, Event) else None
    return fault.code if fault else None


@rejected
def test_a_rejected_example_is_refused_for_its_reason(example: Path) -> None:
    case = json.loads(example.read_text(), parse_float=Decimal)
    raw = msgspec.json.Encoder(decimal_format="number").encode(case["body"])
    assert refusal(message_of(example), raw) == case["reason"]


@rejected
def test_a_wrong_type_is_refused_by_the_json_schema_too(example: Path) -> None:
    case = read(example)
    valid = not list(validator(message_of(example)).iter_errors(case["body"]))
    assert valid == (case["reason"] != "wrong_type")


@good
def test_a_good_example_is_not_refused(example: Path) -> None:
    assert refusal(message_of(example), example.read_bytes()) is None


def test_every_reason_of_the_validation_has_an_example() -> None:
    codes = set(re.findall(r'Fault\(\s*"(\w+)"', Path(validation.__file__).read_text()))
    assert len(codes) > 10
    assert codes - {read(example)["reason"] for example in REJECTED} == set()
