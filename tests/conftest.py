"""For every test: a real Kafka and MongoDB, and how often its properties are tried."""

import os

from tests.stack import private_stack, stack
from tests.tried import load_profile

__all__ = ["private_stack", "stack"]

# A process of pytest-xdist is told of a terminal, to whose size rich would keep for good.
for _size in ("COLUMNS", "LINES"):
    os.environ.pop(_size, None)

load_profile()
