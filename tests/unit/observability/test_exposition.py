"""Figures are written in Prometheus' formats."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from nexxus.observability.exposition import expose
from nexxus.observability.figures import Family, Histogram, Sample


def some_families() -> list[Family]:
    seconds = Histogram((0.1, 1.0))
    for value in (0.05, 0.5, 0.6, 20.0):
        seconds.observe(value)
    return [
        Family("nexxus_writes_total", "counter", "Writes.", [Sample({"app": 'a "b"\n\\c'}, 3)]),
        Family("nexxus_open", "gauge", "Open.", [Sample({}, 1.5)]),
        Family("nexxus_seconds", "histogram", "Time.", [Sample({"call": "load"}, seconds)]),
        Family("nexxus_empty_total", "counter", "Nothing yet.", []),
    ]


def test_every_kind_of_figure_can_be_parsed_from_the_text() -> None:
    body, media_type = expose(some_families(), "*/*")
    assert media_type.startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in read_text(body.decode())}
    (writes,) = families["nexxus_writes"].samples
    assert (writes.name, writes.labels, writes.value) == (
        "nexxus_writes_total",
        {"app": 'a "b"\n\\c'},
        3.0,
    )
    assert families["nexxus_open"].documentation == "Open."
    seconds = {
        (sample.name, sample.labels.get("le")): sample.value
        for sample in families["nexxus_seconds"].samples
    }
    assert seconds == {
        ("nexxus_seconds_bucket", "0.1"): 1.0,
        ("nexxus_seconds_bucket", "1.0"): 3.0,
        ("nexxus_seconds_bucket", "+Inf"): 4.0,
        ("nexxus_seconds_sum", None): 21.15,
        ("nexxus_seconds_count", None): 4.0,
    }
    assert families["nexxus_empty"].samples == []


def test_a_scrape_that_asks_for_openmetrics_gets_it() -> None:
    body, media_type = expose(some_families(), "application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in read_openmetrics(body.decode())}
    assert {"nexxus_writes", "nexxus_open", "nexxus_seconds"} <= names


def test_the_operating_systems_figures_have_the_usual_names() -> None:
    families = {f.name: f for f in read_text(expose([], "")[0].decode())}
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds"):
        assert families[name].samples[0].value > 0
