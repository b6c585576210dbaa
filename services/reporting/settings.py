"""The settings of reporting, beside those that every process shares."""

from pydantic import Field

from services.runtime.settings import Settings


class ReportingSettings(Settings):
    """Where reporting answers, and how much it keeps at hand."""

    reporting_port: int = 8500
    """The API's port."""
    reporting_worker_port: int = 8510
    """The port of the worker's metrics and health."""
    reporting_cached_people: int = Field(200_000, ge=1)
    """How many people's last contributions a worker keeps in memory (300 bytes each)."""
    reporting_rest_seconds: float = Field(0.25, ge=0)
    """How long the worker gathers what came after a turn: so much later tables may be."""
    reporting_gauge_seconds: float = Field(15.0, gt=0)
    """How often the API refreshes the business gauges of its /metrics."""
