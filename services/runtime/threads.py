"""How a worker's threads share the interpreter: whoever has heard from the database goes on soon.

The driver speaks to the database in threads of its own, while the event loop decodes and
encodes. A thread whose answer has come waits until whoever has the interpreter is made to let
go, after five milliseconds by default, and it has to wait several times for each answer. So the
database stood idle for a tenth of a turn.
"""

import sys

_AFTER_SECONDS = 0.0005
"""A fifth of that was measured to be no better: each change of threads costs a little."""


def share() -> None:
    """Call it once; it holds for the whole process."""
    sys.setswitchinterval(_AFTER_SECONDS)
