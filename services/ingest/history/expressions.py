"""Where a value of a mapping comes from: a column, a JMESPath expression, a template. Pure.

Plain paths are walked directly, so that amounts stay exact; other expressions see JSON as
JMESPath knows it, where a number with a fraction is a double.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from services.ingest.history.model import Cells, Unit, Unusable

Get = Callable[[Unit], Any]
Columns = Sequence[str] | None
"""Of the file, where it has a fixed set of them."""

_HOLE = re.compile(r"\{([^{}]+)\}")
_FIRST_ONLY = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection"}
    | {"filter_projection", "flatten", "pipe"}
)
"""AST nodes whose other children are not asked of the row itself."""


def column(name: str, columns: Columns) -> Get:
    """The column of that name."""
    if columns is not None and name not in columns:
        raise Unusable(_no_column(name, columns))
    return lambda unit: unit.cells.get(name)


def named(text: str, columns: Columns) -> Get:
    """What a plain text in a mapping stands for: a column, else an expression."""
    if columns is not None and text in columns:
        return column(text, columns)
    return expression(text, columns)


def expression(text: str, columns: Columns) -> Get:
    """A JMESPath expression over the row."""
    try:
        parsed = jmespath.compile(text).parsed
    except JMESPathError as error:
        if columns is not None:
            raise Unusable(_no_column(text, columns)) from error
        first = str(error).splitlines()[0]
        raise Unusable(
            f"{text!r} is not JMESPath ({first}); quote odd names: '\"{text}\"'"
        ) from error
    if columns is not None:
        for name in _asked(parsed):
            if name not in columns and name != "lines":
                raise Unusable(_no_column(name, columns))
    path = _path(parsed)
    if path is not None:
        return _walker(path)
    # One interpreter for all rows: each has a reference cycle of its own.
    interpreter = TreeInterpreter()

    def search(unit: Unit) -> Any:
        if unit.plain is None:
            unit.plain = _plain(
                {**unit.cells, "lines": list(unit.lines)} if unit.lines else unit.cells
            )
        try:
            return interpreter.visit(parsed, unit.plain)
        except JMESPathError:
            return None  # A function that does not fit what this row holds.

    return search


def condition(text: str, columns: Columns) -> Callable[[Unit], bool]:
    """Whether a JMESPath expression holds: its value is not null, false or empty."""
    get = expression(text, columns)

    def holds(unit: Unit) -> bool:
        value = get(unit)
        return value not in (None, False, "") and value != [] and value != {}

    return holds


def template(text: str, columns: Columns) -> Get:
    """A text with columns or expressions in braces; None where all of them are empty."""
    parts = _HOLE.split(text)
    words, holes = parts[::2], [named(part, columns) for part in parts[1::2]]

    def fill(unit: Unit) -> str | None:
        found = [get(unit) for get in holes]
        if holes and all(value is None for value in found):
            return None
        texts = ["" if value is None else str(value) for value in found]
        whole = words[0] + "".join(text + word for text, word in zip(texts, words[1:], strict=True))
        return " ".join(whole.split()) or None

    return fill


def _walker(path: Sequence[str]) -> Get:
    if len(path) == 1:
        name = path[0]
        return lambda unit: unit.cells.get(name)

    def walk(unit: Unit) -> Any:
        value: Any = unit.cells
        for name in path:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return walk


def _path(node: Any) -> list[str] | None:
    """The names of a plain path such as ``a.b``; None for any other expression."""
    if node["type"] == "field":
        return [node["value"]]
    if node["type"] == "subexpression":
        parts = [_path(child) for child in node["children"]]
        return None if None in parts else [name for part in parts if part for name in part]
    return None


def _asked(node: Any) -> Iterator[str]:
    """The names that an expression asks of the row itself."""
    if not isinstance(node, dict):
        return
    if node["type"] == "field":
        yield node["value"]
    children = node.get("children", ())
    for child in children[:1] if node["type"] in _FIRST_ONLY else children:
        yield from _asked(child)


def _no_column(name: str, columns: Sequence[str]) -> str:
    close = get_close_matches(name, columns, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(columns)}"
    return f"there is no column {name!r}{hint}"


def _plain(value: Any) -> Any:
    """``value`` as JSON has it: JMESPath compares no decimals and no dates."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def cells_of(line: Any) -> Cells | None:
    """A product line as something to take columns from; None when it is no object."""
    return line if isinstance(line, dict) else None
