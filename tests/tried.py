"""How often a property is tried: the same examples every time, or as many others as are asked for.

So a change that is right passes every time, and ``make explore`` looks where nobody has looked.
"""

import os

from hypothesis import HealthCheck, settings

ASKED = int(os.environ.get("REGULARS_TEST_EXAMPLES", "0"))
"""How many new examples each property is tried with; 0: its own, which are always the same."""


def load_profile() -> None:
    """Have every property of this run tried so. To be called before any test is imported."""
    settings.register_profile(
        "regulars",
        max_examples=ASKED or 100,
        derandomize=not ASKED,
        database=None,
        print_blob=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # It tells how busy the machine is.
    )
    settings.load_profile("regulars")


def tried(examples: int) -> settings:
    """For a property that needs another number of examples than the usual hundred."""
    return settings(max_examples=ASKED or examples)
