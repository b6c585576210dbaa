"""A mapping file (YAML, and so JSON) to a ``Mapping``, or every mistake with its line."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml
from msgspec import UNSET

from schemas.validation import Fault
from services.ingest.history.files.opening import codec
from services.ingest.history.model import EventMapping, Mapping, Unusable, Value

MOST_EVENTS = 10
"""Events that one row may become."""
_FIELDS = {kind: tuple(kind.__struct_encode_fields__) for kind in (Mapping, EventMapping, Value)}
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")


class _Loader(yaml.SafeLoader):
    """YAML in which a date is a text: what it means, the mapping says."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def presets() -> list[str]:
    """The names of the mappings that come with Regulars."""
    return sorted(path.name.removesuffix(".yaml") for path in _presets().iterdir())


def preset_text(name: str) -> str:
    """The mapping of that name, to be used or to start from."""
    if name not in presets():
        raise Unusable(f"there is no preset {name}: choose one of {', '.join(presets())}")
    return str(_presets().joinpath(f"{name}.yaml").read_text("utf-8"))


def load(path: Path) -> Mapping:
    """The mapping in a file."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Mapping:
    """The mapping in a text; ``name`` is what messages call it."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        said = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Unusable(f"{name}, line {line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Unusable(f"{name}: not YAML: {error}") from error
    if node is None or not isinstance(said, dict):
        raise Unusable(f"{name}: a mapping is made of fields such as `timestamp:`")
    try:
        mapping = _convert(said)
    except msgspec.ValidationError as error:
        raise Unusable(f"{name}{_explained(error, node)}") from error
    problems = list(_problems(mapping))
    if problems:
        # The one event's fields may stand at the top.
        top = "" if "events" in said else ".events[0]"
        places = [(one.code.removeprefix(top), one.detail) for one in problems]
        lines = [f"{name}{_line(node, place)}: {detail}" for place, detail in places]
        raise Unusable("\n".join(lines))
    return mapping


def _presets() -> Any:
    return files("services.ingest.history").joinpath("presets")


def _convert(said: dict[str, Any]) -> Mapping:
    """The event's fields may stand at the top, where there is one event."""
    if "events" in said or said.get("segment"):
        return msgspec.convert(said, Mapping)
    ours = {key: value for key, value in said.items() if key in _FIELDS[Mapping]}
    event = {key: value for key, value in said.items() if key not in ours}
    if "when" in said and "when" in _FIELDS[Mapping]:
        ours["when"] = said["when"]
    return msgspec.structs.replace(
        msgspec.convert(ours, Mapping), events=(msgspec.convert(event, EventMapping),)
    )


def _explained(error: msgspec.ValidationError, node: yaml.Node) -> str:
    """Where, and what is wrong, with what may have been meant."""
    text = str(error)
    found = _PLACE.search(text)
    path = found["path"] if found else ""
    text = text[: found.start()] if found else text
    unknown = _UNKNOWN.search(text)
    if unknown:
        known = {name for fields in _FIELDS.values() for name in fields}
        close = get_close_matches(unknown["name"], sorted(known), n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        place = f"{path}.{unknown['name']}"
        return f"{_line(node, place)}: there is no field `{unknown['name']}`{hint}"
    where = f": {path.lstrip('.')}" if path else ""
    return f"{_line(node, path)}{where}: {text[:1].lower()}{text[1:]}"


def _line(node: yaml.Node, path: str) -> str:
    """The line of a path such as ``.events[0].timestamp``, as far as it exists."""
    for name, index in _STEP.findall(path):
        if name and isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == name]
            if not found:
                found = [key for key, _ in node.value if key.value == name]
            if not found:
                break
            key = next(key for key, _ in node.value if key.value == name)
            node = found[0]
            line = key.start_mark.line + 1
        elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            break
    else:
        if path:
            return f", line {line}"
    return f", line {node.start_mark.line + 1}"


def _problems(mapping: Mapping) -> Iterator[Fault]:
    """What types cannot say; the code of each fault is its place."""
    if mapping.segment and mapping.events:
        yield Fault(".segment", "rows that are Segment's events have no `events` beside them")
    if not mapping.segment and not 1 <= len(mapping.events) <= MOST_EVENTS:
        yield Fault(".events", f"a row becomes 1 to {MOST_EVENTS} events")
    if mapping.group_by is not None and mapping.lines is not None:
        yield Fault(".lines", "lines come from rows (`group_by`) or from one row (`lines`)")
    if mapping.delimiter is not None and len(mapping.delimiter) != 1:
        yield Fault(".delimiter", "delimiter is one character")
    if mapping.encoding is not None:
        try:
            codec(mapping.encoding)
        except Unusable as error:
            yield Fault(".encoding", str(error))
    yield from _zone(".timezone", mapping.timezone)
    if mapping.thousands == mapping.decimal:
        yield Fault(".thousands", "thousands and decimal cannot be the same")
    for index, event in enumerate(mapping.events):
        yield from _event_problems(event, f".events[{index}]")


def _event_problems(event: EventMapping, place: str) -> Iterator[Fault]:
    if event.type == "track" and event.event is None:
        yield Fault(place, "a track call needs `event`, its name")
    if event.products and event.type != "track":
        yield Fault(f"{place}.products", "only track calls have products")
    if event.id is not None and event.message_id is not None:
        yield Fault(f"{place}.id", "`id` or `message_id`, not both")
    named = [event.user_id, event.anonymous_id, event.email, event.traits.get("email")]
    named += [event.properties.get("email"), event.context.get("traits.email")]
    if all(one is None for one in named):
        yield Fault(place, "nobody is named: `user_id`, `anonymous_id` or `email` is needed")
    for field, spec in _specs(event):
        if isinstance(spec, Value):
            yield from _value_problems(spec, f"{place}.{field}")
    yield from _clashes(event, place)


def _value_problems(value: Value, place: str) -> Iterator[Fault]:
    given = [value.column, value.expr, value.template]
    count = sum(one is not None for one in given) + (value.value is not UNSET)
    if count != 1:
        yield Fault(place, "exactly one of `column`, `expr`, `template` and `value` is needed")
    if value.timezone is not None:
        yield from _zone(f"{place}.timezone", value.timezone)


def _zone(place: str, name: str) -> Iterator[Fault]:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Fault(place, f"there is no time zone {name!r}; one is Europe/Berlin")


def _specs(event: EventMapping) -> Iterator[tuple[str, Any]]:
    for name in _FIELDS[EventMapping]:
        spec = getattr(event, name)
        if isinstance(spec, dict):
            yield from ((f"{name}.{key}", each) for key, each in spec.items())
        elif isinstance(spec, tuple):
            yield from ((f"{name}[{index}]", each) for index, each in enumerate(spec))
        else:
            yield name, spec


def _clashes(event: EventMapping, place: str) -> Iterator[Fault]:
    """A dotted name makes an object; nothing else may have its name."""
    context = [*event.context]
    context += ["traits.email"] if event.email is not None and event.type != "identify" else []
    context += [f"consent.categoryPreferences.{channel}" for channel in event.consent]
    context += ["externalIds"] if event.external_ids else []
    for field, names in (
        ("properties", [*event.properties, *(["products"] if event.products else [])]),
        ("traits", [*event.traits]),
        ("context", context),
    ):
        for name in names:
            if any(other.startswith(f"{name}.") for other in names) or names.count(name) > 1:
                yield Fault(f"{place}.{field}", f"{field}: {name!r} is a value and an object")
