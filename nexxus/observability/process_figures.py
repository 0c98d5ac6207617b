"""What a process measures of itself: its version, its largest memory, how late its loop is."""

from __future__ import annotations

import asyncio
import platform
import resource
import sys
from typing import Annotated, Final

import msgspec

from nexxus.observability.figures import Histogram, gauge, histogram

_EVERY: Final = 0.25
"""Seconds between two measurements of the loop's lag."""


class ProcessFigures(msgspec.Struct):
    """What is measured of the process as a whole."""

    build_info: Annotated[
        dict[tuple[str, str], int],
        gauge("1, for the versions of Nexxus and of Python that run.", "version", "python"),
    ]
    process_peak_memory_bytes: Annotated[int, gauge("The largest resident memory so far.")]
    event_loop_lag_seconds: Annotated[
        Histogram,
        histogram("How late the event loop calls back, measured four times a second."),
    ]


class LoopLag:
    """Measures how late the event loop calls back; the sum of what blocks it shows there."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure the running loop."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _EVERY
        self._timer = loop.call_at(self._due, self._measure, loop)

    def stop(self) -> None:
        """Measure no more; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self.histogram.observe(max(now - self._due, 0.0))
        self._due = now + _EVERY
        self._timer = loop.call_at(self._due, self._measure, loop)


def process_figures(version: str, lag: LoopLag) -> ProcessFigures:
    """Return the figures as they are now."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return ProcessFigures(
        build_info={(version, platform.python_version()): 1},
        process_peak_memory_bytes=peak if sys.platform == "darwin" else peak * 1024,
        event_loop_lag_seconds=lag.histogram,
    )
