"""The metrics of requests."""

from __future__ import annotations

from nexxus.api.metrics import HttpMetrics


def test_requests_are_counted_by_method_route_and_status() -> None:
    metrics = HttpMetrics()
    metrics.observe("GET", "/model/{id}", 200, 0.002)
    metrics.observe("GET", "/model/{id}", 200, 0.2)
    metrics.observe("GET", "/model/{id}", 404, 20.0)

    assert metrics.requests == {
        ("GET", "/model/{id}", 200): 2,
        ("GET", "/model/{id}", 404): 1,
    }
    assert sum(metrics.request_duration_seconds["GET", "/model/{id}"].counts) == 3
