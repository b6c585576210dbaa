"""Settings of segmentation, beside those that every process shares."""

from pydantic import Field

from services.runtime.settings import Settings


class SegmentationSettings(Settings):
    """Where segmentation answers, and how much it does at once."""

    segmentation_port: int = 8300
    """The API's port."""
    segmentation_worker_port: int = 8310
    """The port of the worker's metrics and health."""
    segmentation_cached_people: int = Field(20_000, ge=1)
    """How many people a worker keeps decoded (about 5 KB each)."""
    segmentation_sweep_chunk: int = Field(500, ge=1)
    """How many people one turn re-evaluates after a definition changed."""
    segmentation_watch_seconds: float = Field(1.0, gt=0)
    """How often an idle worker looks for partitions that are behind; a change wakes it at once."""
