"""Which JSON Schemas a plan may have (draft 2020-12), so that judging an event stays cheap: pure.

* References lead to ``#/$defs/<name>`` only, and never in a circle; nothing is ever fetched.
* ``pattern`` is a regular expression that matches in linear time (Rust's ``regex``, RE2's
  kind): look-around and back references do not compile, nor does what compiles to much.
* With its references written out a schema has at most ``MOST_PARTS`` parts, so that no
  tower of references is more work than it looks.
"""

from typing import Any

import jsonschema_rs
import msgspec

from schemas.validation import Fault

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LARGEST_SCHEMA = 64 * 1024
DEEPEST_SCHEMA = 40
MOST_PARTS = 10_000
_REGEX_BYTES = 200_000
_DFA_BYTES = 1_000_000
_LONGEST_DETAIL = 300

_FORBIDDEN = frozenset(
    {"$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$vocabulary"}
)
_DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are no schemas."""
_DEFS = "#/$defs/"


def check_schema(schema: Any) -> Fault | None:
    """Why a schema cannot be in a plan, or None. Codes: schema_too_large, bad_schema, bad_ref."""
    if isinstance(schema, dict) and len(msgspec.json.encode(schema)) > LARGEST_SCHEMA:
        return Fault("schema_too_large", f"A schema has at most {LARGEST_SCHEMA:,} bytes.")
    if isinstance(schema, dict) and schema.get("$schema", DIALECT) != DIALECT:
        return Fault("bad_schema", f"$schema, if given, is {DIALECT}.")
    fault = _Measure(schema).fault()
    if fault is not None:
        return fault
    try:
        compiled(schema)
    except ValueError as error:
        return Fault("bad_schema", str(error).partition("\n")[0][:_LONGEST_DETAIL])
    return None


def compiled(schema: dict[str, Any] | bool) -> jsonschema_rs.Draft202012Validator:
    """The schema made ready; ``ValueError`` when it is none."""
    return jsonschema_rs.Draft202012Validator(
        schema,
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=_REGEX_BYTES, dfa_size_limit=_DFA_BYTES
        ),
        validate_formats=True,
        offline=True,
    )


class _Measure:
    """How many parts a schema has when its references are written out."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        defs = schema.get("$defs") if isinstance(schema, dict) else None
        self._defs: dict[str, Any] = defs if isinstance(defs, dict) else {}
        self._sizes: dict[str, int] = {}
        self._open: set[str] = set()

    def fault(self) -> Fault | None:
        try:
            size = self._parts(self._schema, 0)
        except _Refused as refused:
            return refused.fault
        if size > MOST_PARTS:
            return Fault("schema_too_large", f"Written out it has more than {MOST_PARTS:,} parts.")
        return None

    def _parts(self, part: Any, depth: int) -> int:
        if depth > DEEPEST_SCHEMA:
            raise _Refused("schema_too_large", f"At most {DEEPEST_SCHEMA} levels of nesting.")
        if isinstance(part, list):
            return 1 + sum(self._parts(one, depth + 1) for one in part)
        if not isinstance(part, dict):
            return 1
        size = 1
        for name, value in part.items():
            if name in _FORBIDDEN:
                raise _Refused("bad_ref", f"{name} is not read: define parts under $defs.")
            if name == "$ref":
                size += self._referred(value)
            elif name not in _DATA:
                size += self._parts(value, depth + 1)
        return size

    def _referred(self, ref: Any) -> int:
        name = ref.removeprefix(_DEFS) if isinstance(ref, str) else ""
        if not isinstance(ref, str) or not ref.startswith(_DEFS) or name not in self._defs:
            raise _Refused("bad_ref", "$ref leads to #/$defs/<name> of the same schema.")
        if name in self._open:
            raise _Refused("bad_ref", "$ref leads in a circle.")
        if name not in self._sizes:
            self._open.add(name)
            self._sizes[name] = self._parts(self._defs[name], 0)
            self._open.discard(name)
        return self._sizes[name]


class _Refused(Exception):
    def __init__(self, code: str, detail: str) -> None:
        self.fault = Fault(code, detail)
