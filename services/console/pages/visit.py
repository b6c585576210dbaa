"""What a page is built from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.console.client import Apis
from services.console.settings import ConsoleSettings


@dataclass(frozen=True)
class Visit:
    """One visitor's request for one page."""

    apis: Apis
    settings: ConsoleSettings
    parts: Mapping[str, Any]
    """The variable parts of the path."""
    query: Mapping[str, str]
