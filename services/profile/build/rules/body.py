"""One look into an event's body: every part that a fold may need, each as far as it needs it.

An event is decoded once. What is seldom looked at stays encoded; of properties that many
events have and few need, only the few that habits look at are taken, unless all are wanted.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

NOTHING = Raw(b"{}")
"""Stands for an object that an event does not have."""
UNREADABLE = (msgspec.MsgspecError, InvalidOperation, UnicodeDecodeError, RecursionError)


class Context(Struct, gc=False):
    """What an event's ``context`` tells."""

    locale: Any = None
    timezone: Any = None
    agent: Any = field(name="userAgent", default=None)
    device: Any = None
    os: Any = None
    traits: Raw = NOTHING
    consent: Raw = NOTHING


class Glimpse(Struct, gc=False):
    """The properties that habits look at."""

    category: Any = None
    brand: Any = None
    machine: Any = None


class Body(Struct, gc=False):
    """An event, with its properties still encoded."""

    properties: Raw = NOTHING
    traits: Raw = NOTHING
    context: Context = field(default_factory=Context)


class _Loose(Struct):
    properties: Raw = NOTHING


class Glanced(Struct, gc=False):
    """An event, with a glimpse of its properties."""

    properties: Glimpse = field(default_factory=Glimpse)
    traits: Raw = NOTHING
    context: Context = field(default_factory=Context)


_body = msgspec.json.Decoder(Body).decode
_loose = msgspec.json.Decoder(_Loose).decode
_glanced = msgspec.json.Decoder(Glanced).decode
_properties = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def read(event: Raw) -> Body:
    """The parts of an event; raises one of ``UNREADABLE``."""
    return _body(event)


def glance(event: Raw) -> Glanced:
    """The parts of an event of whose properties a glimpse is enough; raises as ``read``."""
    return _glanced(event)


def properties_of(body: Body) -> dict[str, Any]:
    """All properties, numbers exact; raises one of ``UNREADABLE``."""
    return _properties(body.properties)


def loose_properties(event: Raw) -> dict[str, Any]:
    """All properties of an event, whatever is beside them; raises one of ``UNREADABLE``."""
    return _properties(_loose(event).properties)


def glimpse_of(properties: Mapping[str, Any]) -> Glimpse:
    """The same of properties that had to be read in full."""
    get = properties.get
    return Glimpse(get("category"), get("brand"), get("machine"))
