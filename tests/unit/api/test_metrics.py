"""The figures about requests."""

from __future__ import annotations

from nexxus.api.metrics import HttpMetrics


def test_requests_are_counted_by_method_route_and_status() -> None:
    metrics = HttpMetrics()
    metrics.observe("GET", "/model/{id}", 200, 0.002)
    metrics.observe("GET", "/model/{id}", 200, 0.2)
    metrics.observe("GET", "/model/{id}", 404, 20.0)

    text = metrics.render()

    labels = 'method="GET",route="/model/{id}"'
    assert f'nexxus_http_requests_total{{{labels},status="200"}} 2' in text
    assert f'nexxus_http_requests_total{{{labels},status="404"}} 1' in text


def test_durations_are_cumulative() -> None:
    metrics = HttpMetrics()
    for seconds in (0.001, 0.002, 20.0):
        metrics.observe("GET", "/", 200, seconds)

    text = metrics.render()

    series = 'nexxus_http_request_duration_seconds_bucket{method="GET",route="/",le='
    assert f'{series}"0.001"}} 1' in text
    assert f'{series}"10.0"}} 2' in text
    assert f'{series}"+Inf"}} 3' in text
    assert 'nexxus_http_request_duration_seconds_count{method="GET",route="/"} 3' in text
