"""Fixtures for every test: a real Kafka and MongoDB."""

from tests.stack import private_stack, stack

__all__ = ["private_stack", "stack"]
