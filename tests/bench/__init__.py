"""First figures, each beside its limit: ``python -m tests.bench`` (see docs/benchmarks.md)."""
