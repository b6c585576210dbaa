"""One person at one instant: what conditions look at."""

from collections.abc import Mapping
from typing import Any

from services.segmentation.model import Person


class Moment:
    """``person`` as known, at the instant ``now``."""

    __slots__ = ("_counters", "_identifiers", "now", "person")

    def __init__(self, person: Person, now: int) -> None:
        self.person = person
        self.now = now
        self._counters: dict[str, int] | None = None
        self._identifiers: dict[str, list[str]] | None = None

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each event occurred, by its name in lower case."""
        if self._counters is None:
            self._counters = folded = dict[str, int]()
            for name, count in self.person.counters.items():
                key = name.strip().lower()
                folded[key] = folded.get(key, 0) + count
        return self._counters

    @property
    def identifiers(self) -> Mapping[str, list[str]]:
        """The values of each type of identifier."""
        if self._identifiers is None:
            self._identifiers = known = dict[str, list[str]]()
            for identifier in self.person.identifiers:
                known.setdefault(identifier.type, []).append(identifier.value)
        return self._identifiers


def walk(value: Any, path: tuple[str, ...]) -> list[Any]:
    """Every value at ``path``, through objects by name and through lists by element."""
    found = _spread([value])
    for name in path:
        found = _spread([item[name] for item in found if isinstance(item, dict) and name in item])
    return [item for item in found if item is not None]


def _spread(values: list[Any]) -> list[Any]:
    if not any(isinstance(value, list) for value in values):
        return values
    spread: list[Any] = []
    for value in values:
        spread.extend(value if isinstance(value, list) else (value,))
    return spread
