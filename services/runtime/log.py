"""Logs (stub until the HTTP frame lands)."""
from services.runtime.settings import Settings


def configure(settings: Settings) -> None:
    """Configure."""
