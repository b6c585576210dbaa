"""TCP ports on 127.0.0.1: is one free, and which one is."""

import random
import socket

import psutil

from deploy.local.errors import StackError

HOST = "127.0.0.1"

# Below the range the kernel takes client ports from, and clear of our defaults. A port of
# that range could be taken by a client while its server is down, or connect to itself.
_FREE_RANGE = range(21_000, 27_000)


def is_free(port: int) -> bool:
    """True when a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(port: int, setting: str) -> None:
    """Raise StackError naming the port, its holder if known, and the setting to change."""
    if not is_free(port):
        raise StackError(
            f"Port {port} is already in use{_holder(port)}: "
            f"stop what listens there, or choose another port with {setting}."
        )


def free_port() -> int:
    """A port nothing listens on; another process may still take it before you do."""
    for port in random.SystemRandom().sample(_FREE_RANGE, 200):
        if is_free(port):
            return port
    raise StackError(f"No free port found between {_FREE_RANGE[0]} and {_FREE_RANGE[-1]}.")


def _holder(port: int) -> str:
    try:
        sockets = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return ""
    for found in sockets:
        listens = found.status == psutil.CONN_LISTEN and found.laddr[1:] == (port,)
        if listens and found.pid:
            try:
                return f" by {psutil.Process(found.pid).name()} (process {found.pid})"
            except psutil.Error:
                return ""
    return ""
