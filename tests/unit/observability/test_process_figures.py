"""Figures of the process."""

from __future__ import annotations

import platform
import time

from waiting import eventually

from nexxus.observability.process_figures import LoopLag, process_figures


async def test_a_blocked_loop_shows_as_lag() -> None:
    lag = LoopLag()
    lag.start()
    await eventually(lambda: sum(lag.histogram.counts))

    def block_until_late() -> bool:
        time.sleep(0.3)  # what must not happen in an event loop
        return lag.histogram.sum > 0.1

    await eventually(block_until_late)
    lag.stop()
    lag.stop()


def test_the_build_and_the_peak_memory_are_shown() -> None:
    figures = process_figures("1.2.3", LoopLag())
    assert figures.build_info == {("1.2.3", platform.python_version()): 1}
    assert figures.process_peak_memory_bytes > 1024 * 1024
