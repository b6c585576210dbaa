"""One ``EventMapping``, compiled: from a unit to one event. Pure."""

from collections.abc import Mapping as Dict
from datetime import UTC, datetime
from typing import Any

from schemas.validation import Fault
from services.ingest.history.expressions import Columns, condition
from services.ingest.history.model import EventMapping, Mapping, Spec, Unit
from services.ingest.history.producing import Produce, number_of, placed, produce

_IDS = {
    "event": "event",
    "name": "name",
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "previous_id": "previousId",
    "group_id": "groupId",
}
_CONSENT = ("context", "consent", "categoryPreferences")


class Compiler:
    """Compiles the parts of one event mapping, each with its place for messages."""

    def __init__(self, mapping: Mapping, columns: Columns, place: str) -> None:
        self._mapping = mapping
        self._columns = columns
        self._place = place

    def one(self, name: str, spec: Spec, kind: str | None = None) -> Produce:
        """The value of a field."""
        return placed(
            f"{self._place}.{name}", lambda: produce(spec, self._mapping, self._columns, kind)
        )

    def line(self, name: str, spec: Spec) -> Produce:
        """The value of a field of a product line, which is a row, or an object within one."""
        columns = None if self._mapping.lines else self._columns
        kind = number_of(name)
        return placed(
            f"{self._place}.products.{name}", lambda: produce(spec, self._mapping, columns, kind)
        )

    def fields(self, said: EventMapping) -> list[tuple[tuple[str, ...], Produce]]:
        """Every field but time, ids of the message and products, with its path in the event."""
        found: list[tuple[tuple[str, ...], Produce]] = []
        for name, path in _IDS.items():
            spec = getattr(said, name)
            if name == "event" and isinstance(spec, str):
                found.append(((path,), _constant(spec)))
            elif spec is not None:
                found.append(((path,), self.one(name, spec, "text")))
        if said.email is not None:
            home = ("traits",) if said.type == "identify" else ("context", "traits")
            found.append(((*home, "email"), self.one("email", said.email)))
        found += self._many("properties", said.properties)
        found += self._many("traits", said.traits)
        found += self._many("context", said.context)
        for channel, spec in said.consent.items():
            agreed = self.one(f"consent.{channel}", spec, "boolean")
            found.append(((*_CONSENT, channel), agreed))
        return found

    def _many(self, name: str, specs: Dict[str, Spec]) -> list[tuple[tuple[str, ...], Produce]]:
        return [
            (
                (name, *key.split(".")),
                self.one(f"{name}.{key}", spec, number_of(key) if name == "properties" else None),
            )
            for key, spec in specs.items()
        ]


class Event:
    """Makes one kind of event."""

    def __init__(self, said: EventMapping, mapping: Mapping, columns: Columns, place: str) -> None:
        compiler = Compiler(mapping, columns, place)
        self.label = said.event if isinstance(said.event, str) else said.type
        self._type = said.type
        when = said.when
        self._when = when and placed(f"{place}.when", lambda: condition(when or "", columns))
        self._at = compiler.one("timestamp", said.timestamp, "time")
        self._fields = compiler.fields(said)
        self._external = [
            (name, compiler.one(f"external_ids.{name}", spec, "text"))
            for name, spec in said.external_ids.items()
        ]
        self._products = [(name, compiler.line(name, spec)) for name, spec in said.products.items()]
        self._given = said.message_id and compiler.one("message_id", said.message_id, "text")
        ids = said.id if isinstance(said.id, tuple) else (said.id,)
        self._ids = [compiler.one("id", spec) for spec in ids if spec is not None]
        self._grouped = mapping.group_by is not None

    def make(self, unit: Unit) -> dict[str, Any] | Fault | None:
        """The event but for its messageId; None when it does not happen."""
        if callable(self._when) and not self._when(unit):
            return None
        at = self._at(unit)
        if at is None:
            return Fault("missing_timestamp", "There is no time: when did it happen?")
        if isinstance(at, Fault):
            return at
        said: dict[str, Any] = {"type": self._type, "timestamp": _written(at)}
        for path, get in self._fields:
            value = get(unit)
            if isinstance(value, Fault):
                return _named(value, path[-1])
            if value is not None and value != "":
                _put(said, path, value)
        return self._add_lists(unit, said)

    def given_id(self, unit: Unit) -> Any:
        """The messageId that the event had before; None without one."""
        return self._given(unit) if callable(self._given) else None

    def key(self, unit: Unit) -> tuple[str, ...] | Fault | None:
        """What makes it one of its kind; None when the mapping names nothing."""
        if not self._ids:
            return (str(unit.key),) if self._grouped else None
        found = [get(unit) for get in self._ids]
        for value in found:
            if isinstance(value, Fault):
                return value
        if all(value is None for value in found):
            return Fault("missing_row_id", "What `id` names is empty.")
        return tuple("" if value is None else str(value) for value in found)

    def _add_lists(self, unit: Unit, said: dict[str, Any]) -> dict[str, Any] | Fault:
        if self._products:
            lines = self._lines(unit)
            if isinstance(lines, Fault):
                return lines
            said.setdefault("properties", {})["products"] = lines
        ids = []
        for kind, get in self._external:
            value = get(unit)
            if value is not None:
                ids.append({"id": value, "type": kind, "collection": "users", "encoding": "none"})
        if ids:
            said.setdefault("context", {})["externalIds"] = ids
        return said

    def _lines(self, unit: Unit) -> list[dict[str, Any]] | Fault:
        products = []
        for cells in unit.lines if unit.lines is not None else (unit.cells,):
            line = Unit(unit.line, unit.end, unit.last_line, cells)
            product: dict[str, Any] = {}
            for name, get in self._products:
                value = get(line)
                if isinstance(value, Fault):
                    return _named(value, f"products.{name}")
                if value is not None and value != "":
                    product[name] = value
            if product:
                products.append(product)
        return products


def _constant(word: str) -> Produce:
    return lambda _unit: word


def _put(said: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        said = said.setdefault(name, {})
    said[path[-1]] = value


def _named(fault: Fault, name: str) -> Fault:
    return Fault(fault.code, f"{name}: {fault.detail}")


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
