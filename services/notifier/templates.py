"""Liquid templates, shut in: a marketer's text may read what it is given, and no more.

Templates see plain JSON values. There is no loader and no include or render tag, Python
attributes cannot be reached, and loops, strings, variables and output are limited. In html
every value is escaped, and ``safe`` is not there to undo it: traits are written by visitors.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError, ResourceLimitError
from msgspec import Struct

from services.notifier.model import Campaign, Live, Recipient

MAX_SOURCE = 250_000
"""Characters of one template."""
MAX_STRING = 250_000
"""Characters of any string that a filter makes."""
MAX_LOOPS = 10_000
MAX_OUTPUT = 1_000_000
"""Bytes of one rendered part."""

_NO_TAGS = ("include", "render")
_NO_FILTERS = ("safe",)


class TemplateError(Exception):
    """A template does not parse or cannot be rendered; the text is for its author."""


class Rendered(Struct, frozen=True):
    """The three parts of one message; ``subject`` is one line."""

    subject: str
    text: str
    html: str | None


class _Shut(Environment):
    loop_iteration_limit = MAX_LOOPS
    local_namespace_limit = MAX_STRING * 4
    output_stream_limit = MAX_OUTPUT

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape)
        for tag in _NO_TAGS:
            del self.tags[tag]
        for name in _NO_FILTERS:
            del self.filters[name]
        self.filters.update({name: _bounded(filter_) for name, filter_ in self.filters.items()})
        self.filters["replace"] = _replace(self.filters["replace"])
        self.filters["join"] = _join(self.filters["join"])


class Templates:
    """The parsed templates of one campaign version."""

    def __init__(self, campaign: Campaign) -> None:
        """Parse; raises ``TemplateError`` naming the part and the line."""
        plain, escaping = _Shut(autoescape=False), _Shut(autoescape=True)
        self._subject = _parse(plain, "subject", campaign.subject)
        self._text = _parse(plain, "text", campaign.text)
        self._html = None if campaign.html is None else _parse(escaping, "html", campaign.html)

    def render(self, data: Mapping[str, Any]) -> Rendered:
        """Fill in ``data``; raises ``TemplateError`` when a limit or a filter objects."""
        html = None if self._html is None else _render(self._html, "html", data)
        subject = " ".join(_render(self._subject, "subject", data).split())
        return Rendered(subject, _render(self._text, "text", data), html)


def _parse(environment: Environment, part: str, source: str) -> BoundTemplate:
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"{part}: longer than {MAX_SOURCE} characters")
    try:
        template = environment.from_string(source)
        # Unknown filters are only noticed where they are used; find them now.
        _known_filters(template, environment)
    except (LiquidError, RecursionError) as error:
        raise TemplateError(f"{part}: {_said(error)}") from error
    return template


def _render(template: BoundTemplate, part: str, data: Mapping[str, Any]) -> str:
    try:
        return template.render(**data)
    # Filters are handed whatever a visitor's traits hold, and some pass on Python's errors.
    except (LiquidError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise TemplateError(f"{part}: {_said(error)}") from error


def _known_filters(template: BoundTemplate, environment: Environment) -> None:
    used = template.analyze(include_partials=False).filters
    unknown = sorted(set(used) - set(environment.filters))
    if unknown:
        raise LiquidError(f"unknown filter {unknown[0]!r}", token=None)


def _said(error: BaseException) -> str:
    # The first line: liquid adds an excerpt of the template below it.
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _bounded(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)  # keeps the attributes by which liquid knows what else to pass
    def bounded(*args: Any, **kwargs: Any) -> Any:
        made = filter_(*args, **kwargs)
        if isinstance(made, str):
            _check(len(made))
        elif isinstance(made, int) and not isinstance(made, bool):
            _check(made.bit_length() // 8)
        return made

    return bounded


def _replace(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def replace(value: Any, old: Any, new: Any = "") -> Any:
        found = str(value).count(str(old))
        _check(found * len(str(new)))  # before it is made
        return filter_(value, old, new)

    return replace


def _join(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def join(value: Any, separator: Any = " ", **kwargs: Any) -> Any:
        if isinstance(value, list | tuple):
            _check(len(value) * len(str(separator)))
        return filter_(value, separator, **kwargs)

    return join


def _check(size: int) -> None:
    if size > MAX_STRING:
        raise ResourceLimitError(f"a value is longer than {MAX_STRING}", token=None)


def template_data(live: Live, recipient: Recipient, unsubscribe_url: str) -> dict[str, Any]:
    """What templates may name: traits, profile (the profile API's answer), campaign, segment."""
    return {
        "traits": recipient.traits,
        "profile": recipient.answer,
        "campaign": {"key": live.key, "name": live.campaign.name},
        "segment": live.campaign.trigger.segment,
        "unsubscribe_url": unsubscribe_url,
    }
