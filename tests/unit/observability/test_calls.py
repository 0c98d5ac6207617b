"""Calls to a service are measured by name and otherwise unchanged."""

from __future__ import annotations

import asyncio

import pytest

from nexxus.observability.calls import CallFigures, measure_calls


class Service:
    async def load(self, key: str, *, twice: bool = False) -> str:
        return key * 2 if twice else key

    async def commit(self) -> None:
        raise OSError("away")

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def ping(self) -> None:
        return


@pytest.fixture
def figures() -> CallFigures:
    return CallFigures()


@pytest.fixture
def service(figures: CallFigures) -> Service:
    service = Service()
    measure_calls(service, ("load", "commit", "wait"), figures)
    return service


async def test_a_call_is_measured_and_its_result_is_returned(
    service: Service, figures: CallFigures
) -> None:
    assert await service.load("k", twice=True) == "kk"
    await service.ping()
    counts = {call: sum(h.counts) for call, h in figures.call_duration_seconds.items()}
    assert counts == {"load": 1, "commit": 0, "wait": 0}
    assert figures.call_errors == {}


async def test_an_error_is_counted_and_raised(service: Service, figures: CallFigures) -> None:
    with pytest.raises(OSError, match="away"):
        await service.commit()
    assert figures.call_errors == {"commit": 1}
    assert sum(figures.call_duration_seconds["commit"].counts) == 1


async def test_a_cancelled_call_is_not_an_error(service: Service, figures: CallFigures) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await service.wait()
    assert figures.call_errors == {}
    assert sum(figures.call_duration_seconds["wait"].counts) == 1
