"""When Python's collector of cycles runs in a worker: between turns rather than within them.

A batch makes hundreds of thousands of objects that live for one turn and hold no cycles; walking
them took a tenth of a worker's time. So the collector waits until very many are left over, and
what little comes together in quiet times is collected as soon as there is nothing to do.
"""

import gc

_BUSY = 500_000
"""Objects left over since the last look; a pass over as many takes a tenth of a second."""
_QUIET = 20_000


def spare() -> None:
    """Call it once everything has started: what exists now stays, and is never walked again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BUSY, 20, 20)


def tidy() -> None:
    """Nothing is to be done: collect what has come together, if it is worth it."""
    if gc.get_count()[0] > _QUIET:
        gc.collect(0)
