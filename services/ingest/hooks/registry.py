"""Every hook that ingest has, by the kind of source that it is for."""

from collections.abc import Mapping
from typing import Any

from schemas.validation import Fault
from services.ingest.hooks.model import Hook

HOOKS: tuple[Hook, ...] = ()
"""In the order of the documentation."""

BY_KIND: Mapping[str, Hook] = {hook.kind: hook for hook in HOOKS}


def check_options(kind: str, options: Any) -> list[Fault]:
    """Every fault of the options of a source of ``kind``; none where no hook reads them."""
    hook = BY_KIND.get(kind)
    return [] if hook is None else hook.check(options)
