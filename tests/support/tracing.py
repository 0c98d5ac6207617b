"""Spares a test run the measuring of coverage where there is nothing to measure.

A test of the run's own server talks to another process, in which coverage is measured too. The
test's own process runs none of our code meanwhile, but a tracer would slow down each of its lines.
Those that run commands of ours in it have the fixture `nexxus`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import coverage
import pytest

UNMEASURED: Final = {"COVERAGE_PROCESS_CONFIG": ""}
"""The environment of a program in which no coverage is measured."""


@pytest.fixture
def unmeasured_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no program that the test starts: one that is killed could tell nothing anyway."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Stop measuring this process for the time of such a test."""
    measuring = coverage.Coverage.current()
    fixtures = getattr(item, "fixturenames", ())
    if measuring is None or "endpoint" not in fixtures or "nexxus" in fixtures:
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()
