"""What a worker's process does with the memory that a turn has given back: it keeps it.

A turn makes and drops buffers of megabytes (what came, the documents, the outbox, what goes),
some of them in threads. The C library gives such memory back to the system at once, and asks for
it again in the next turn; the system then clears every page of it, once more. That was two
thirds of the time that a worker spent in the system.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of glibc's ``mallopt``: names in its malloc.h."""

_KEPT_BYTES = 64_000_000
"""At most so much is kept that nothing uses."""
_LARGEST_BYTES = 16_000_000
"""What is larger than any buffer of a turn is still given back at once."""


def keep() -> None:
    """Call it before there are threads. With another C library than glibc it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_ARENA_MAX, 1)  # Each thread would keep its own.
