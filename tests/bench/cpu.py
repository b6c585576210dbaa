"""CPU seconds that processes have used, and memory: what one reads beside a rate.

Rates drift with the machine and with who else uses it; CPU per event far less.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil


class Meter:
    """The processes of a bench by role, each with its children; this one alone."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {role: psutil.Process(pid) for role, pid in pids.items()}

    def read(self) -> dict[str, float]:
        """User and system seconds of each since it started."""
        return {role: _seconds(process) for role, process in self._processes.items()}

    def memory(self) -> dict[str, int]:
        """Bytes of each: proportional set size, in which shared pages count once in all."""
        return {role: _bytes(process) for role, process in self._processes.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds between two readings."""
    return {role: after[role] - before[role] for role in before}


def machine() -> str:
    """Cores, memory and the kernel: what a figure depends on, without naming a host."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores ({_model()}), {memory:.0f} GB"


def busy() -> float:
    """How many cores others and we have kept busy, over the last minute."""
    return psutil.getloadavg()[0]


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def _seconds(process: psutil.Process) -> float:
    all_times = [one.cpu_times() for one in _family(process)]
    return float(sum(times.user + times.system for times in all_times))


def _family(process: psutil.Process) -> list[psutil.Process]:
    if process.pid == os.getpid():
        return [process]  # its children are what it measures
    return [process, *process.children(recursive=True)]


def _bytes(process: psutil.Process) -> int:
    return sum(_own_bytes(one) for one in _family(process))


def _own_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
