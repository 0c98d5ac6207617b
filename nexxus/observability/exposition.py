"""Writes figures in Prometheus' formats, with its client library."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from nexxus.observability.figures import Family, Histogram

# The library includes an HTTP server and takes longer to import than the rest of a start.
if TYPE_CHECKING:
    from prometheus_client import Metric


def expose(families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """Return a body and its media type, in the format that a scrape's ``Accept`` header requests.

    On Linux, it includes the operating system's figures of this process, under the names that all
    Prometheus client libraries use (``process_…``).
    """
    from prometheus_client.exposition import choose_encoder

    metrics = [*map(_metric, families), *_process().collect()]
    encode, media_type = choose_encoder(accept)
    return encode(_Snapshot(metrics)), media_type


class _Snapshot:
    """A fixed set of metrics, with the interface of the library's registry."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


@cache
def _process() -> Any:
    from prometheus_client import ProcessCollector

    return ProcessCollector(registry=None)


def _metric(family: Family) -> Metric:
    from prometheus_client import Metric

    metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
    for sample in family.samples:
        labels = dict(sample.labels)
        if isinstance(sample.value, Histogram):
            _add_histogram(metric, labels, sample.value)
        else:
            metric.add_sample(family.name, labels, sample.value)
    return metric


def _add_histogram(metric: Metric, labels: dict[str, str], value: Histogram) -> None:
    bounds = [*map(str, value.bounds), "+Inf"]
    counts = list(accumulate(value.counts))
    for bound, count in zip(bounds, counts, strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count)
    metric.add_sample(f"{metric.name}_sum", labels, value.sum)
    metric.add_sample(f"{metric.name}_count", labels, counts[-1])
