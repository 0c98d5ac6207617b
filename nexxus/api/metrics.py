"""The metrics of HTTP requests."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import msgspec

from nexxus.observability.figures import Histogram, counter, gauge, histogram


class HttpMetrics(msgspec.Struct):
    """Counts and durations of requests, by method, route and status.

    Routes are patterns such as ``/model/{type}``, so that clients cannot create new series.
    """

    requests: Annotated[
        dict[tuple[str, str, int], int],
        counter("Answered requests.", "method", "route", "status"),
    ] = msgspec.field(default_factory=lambda: defaultdict(int))
    request_duration_seconds: Annotated[
        dict[tuple[str, str], Histogram],
        histogram("Time from a request's arrival to the end of its response.", "method", "route"),
    ] = msgspec.field(default_factory=lambda: defaultdict(Histogram))
    requests_running: Annotated[int, gauge("Requests in progress.")] = 0

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one answered request."""
        self.requests[method, route, status] += 1
        self.request_duration_seconds[method, route].observe(seconds)
