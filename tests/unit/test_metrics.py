"""How figures are told to Prometheus."""

from prometheus_client import CollectorRegistry, Histogram

from services.runtime.metrics import Crowd


def samples(kind: type[Histogram], *crowds: list[float]) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    histogram = kind("h", "x", ["route"], buckets=(0.5, 1.0, 2.0), registry=registry).labels("r")
    for crowd in crowds:
        if isinstance(histogram, Crowd):
            histogram.observe_all(crowd)
        else:
            for one in crowd:
                histogram.observe(one)
    [metric] = registry.collect()
    return {
        (one.name, one.labels.get("le", "")): one.value
        for one in metric.samples
        if one.name != "h_created"
    }


def test_many_observations_at_once_count_as_one_by_one() -> None:
    crowds = [[0.25, 0.5, 0.5, 1.0, 1.75], [], [2.0, 2.25, 1e9]]
    told = samples(Crowd, *crowds)
    assert told == samples(Histogram, *crowds)
    assert (told["h_bucket", "1.0"], told["h_bucket", "+Inf"]) == (4.0, 8.0)
