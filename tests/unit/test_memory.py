"""What a turn's buffers took stays with the process."""

import subprocess
import sys

_TURNS = """
import resource, threading
from services.runtime import memory
if {keep}:
    memory.keep()
def turn():
    came = [bytes(3_000_000) for _ in range(4)]
    thread = threading.Thread(target=lambda: [bytes(3_000_000) for _ in range(4)])
    thread.start()
    thread.join()
for _ in range(3):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_asked_for(*, keep: bool) -> int:
    """By ten turns, after the first few."""
    argv = [sys.executable, "-c", _TURNS.format(keep=keep)]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def test_turns_ask_the_system_for_no_more_memory_than_the_first_ones() -> None:
    assert pages_asked_for(keep=False) > 1_000
    assert pages_asked_for(keep=True) < 500
