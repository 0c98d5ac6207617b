"""Figures of the process as a whole: its version, its peak memory, the lag of its event loop."""

from __future__ import annotations

import asyncio
import platform
import resource
import sys
from typing import Annotated, Final

import msgspec

from nexxus.observability.figures import Histogram, gauge, histogram

_EVERY: Final = 0.25
"""Seconds between measurements of the event loop's lag."""


class ProcessFigures(msgspec.Struct):
    """The figures of the process as a whole."""

    build_info: Annotated[
        dict[tuple[str, str], int],
        gauge("Always 1; the labels are the versions of Nexxus and Python.", "version", "python"),
    ]
    process_peak_memory_bytes: Annotated[int, gauge("The peak resident memory.")]
    event_loop_lag_seconds: Annotated[
        Histogram,
        histogram("How late the event loop calls back, measured four times a second."),
    ]


class LoopLag:
    """Measures how late the event loop calls back, which shows everything that blocks it."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin measuring the running loop."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _EVERY
        self._timer = loop.call_at(self._due, self._measure, loop)

    def stop(self) -> None:
        """Stop measuring; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self.histogram.observe(max(now - self._due, 0.0))
        self._due = now + _EVERY
        self._timer = loop.call_at(self._due, self._measure, loop)


def process_figures(version: str, lag: LoopLag) -> ProcessFigures:
    """Return the current figures."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return ProcessFigures(
        build_info={(version, platform.python_version()): 1},
        process_peak_memory_bytes=peak if sys.platform == "darwin" else peak * 1024,
        event_loop_lag_seconds=lag.histogram,
    )
