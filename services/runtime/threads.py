"""How a worker's threads share the interpreter: whoever has heard from the database goes on soon.

The driver speaks to the database in threads of its own, while the event loop decodes and
encodes. A thread whose answer has come waits until whoever has the interpreter is made to let
go, after five milliseconds by default, and it has to wait several times for each answer. So the
database stood idle for a good part of a turn.
"""

import sys

_AFTER_SECONDS = 0.0005
"""Short beside what the database takes, long beside what a change of threads costs."""


def share() -> None:
    """Call it once; it holds for the whole process."""
    sys.setswitchinterval(_AFTER_SECONDS)
