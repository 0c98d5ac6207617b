"""The durations of calls to backing services, by method."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec

from nexxus.observability.figures import Histogram, counter, histogram

P = ParamSpec("P")
T = TypeVar("T")


class CallFigures(msgspec.Struct):
    """The metrics of the calls to one service."""

    call_duration_seconds: Annotated[
        dict[str, Histogram],
        histogram("Time from a call to its result or error, by method.", "call"),
    ] = msgspec.field(default_factory=lambda: defaultdict(Histogram))
    call_errors: Annotated[
        dict[str, int], counter("Calls that ended with an error, by method.", "call")
    ] = msgspec.field(default_factory=lambda: defaultdict(int))


def measure_calls(service: Any, methods: Collection[str], figures: CallFigures) -> None:
    """Measure the given asynchronous methods of a newly created service."""
    for method in methods:
        histogram = figures.call_duration_seconds[method]
        setattr(service, method, _measured(getattr(service, method), method, histogram, figures))


def _measured(
    call: Callable[P, Awaitable[T]], name: str, histogram: Histogram, figures: CallFigures
) -> Callable[P, Awaitable[T]]:
    observe, now = histogram.observe, time.perf_counter

    @wraps(call)
    async def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        began = now()
        try:
            return await call(*args, **kwargs)
        except Exception:
            figures.call_errors[name] += 1
            raise
        finally:
            observe(now() - began)

    return measured
