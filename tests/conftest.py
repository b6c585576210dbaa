"""Fixtures for every test: a real Kafka and MongoDB."""

import os

from tests.stack import private_stack, stack

__all__ = ["private_stack", "stack"]

# A process of pytest-xdist is told of a terminal, to whose size rich would keep for good.
for _size in ("COLUMNS", "LINES"):
    os.environ.pop(_size, None)
