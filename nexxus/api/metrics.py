"""Figures about the requests, in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Final

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COUNT: Final = "nexxus_http_requests_total"
_DURATION: Final = "nexxus_http_request_duration_seconds"
_RUNNING: Final = "nexxus_http_requests_running"


class _Histogram:
    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0


class HttpMetrics:
    """Counts requests and how long they took, by method, route and status.

    Routes are patterns such as ``/model/{type}``, so that clients cannot invent new series.
    """

    def __init__(self) -> None:
        self.running = 0
        self._counts: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[tuple[str, str], _Histogram] = defaultdict(_Histogram)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._counts[method, route, status] += 1
        histogram = self._durations[method, route]
        histogram.buckets[bisect_left(_BOUNDS, seconds)] += 1
        histogram.total += seconds

    def render(self) -> str:
        """All of it, as Prometheus reads it."""
        lines = [
            f"# HELP {_COUNT} Requests answered.",
            f"# TYPE {_COUNT} counter",
        ]
        for (method, route, status), count in sorted(self._counts.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            lines.append(f"{_COUNT}{{{labels}}} {count}")
        lines += [
            f"# HELP {_DURATION} Time from a request's arrival to the end of its answer.",
            f"# TYPE {_DURATION} histogram",
        ]
        for (method, route), histogram in sorted(self._durations.items()):
            lines += _series(f'method="{method}",route="{route}"', histogram)
        lines += [
            f"# HELP {_RUNNING} Requests being answered now.",
            f"# TYPE {_RUNNING} gauge",
            f"{_RUNNING} {self.running}",
        ]
        return "\n".join(lines) + "\n"


def _series(labels: str, histogram: _Histogram) -> list[str]:
    lines, cumulative = [], 0
    for bound, count in zip((*_BOUNDS, "+Inf"), histogram.buckets, strict=True):
        cumulative += count
        lines.append(f'{_DURATION}_bucket{{{labels},le="{bound}"}} {cumulative}')
    lines.append(f"{_DURATION}_sum{{{labels}}} {histogram.total:.6f}")
    lines.append(f"{_DURATION}_count{{{labels}}} {cumulative}")
    return lines
