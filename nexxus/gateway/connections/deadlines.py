"""Deadlines of many objects on one timer of the event loop."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Protocol


class Timed(Protocol):
    """Something with a next deadline.

    `due` belongs to `Deadlines`: the loop's time of the next deadline, `inf` for none.
    """

    due: float

    def on_deadline(self, now: float) -> float:
        """Handle the deadline, which is at or before `now`. Returns the next one, or `inf`."""
        ...


class Deadlines:
    """A heap of deadlines, at most one per object, with a single timer for the first.

    When a deadline is moved, its old entry stays in the heap and is skipped later. So moving a
    deadline to a later time, which is the common case, is cheap.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Timed]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, timed: Timed, when: float) -> None:
        """Call `timed.on_deadline` at `when` of the loop's time, instead of at `timed.due`."""
        if when == timed.due:
            return
        timed.due = when
        if when == inf:
            return
        heappush(self._heap, (when, next(self._order), timed))
        if self._heap[0][2] is timed:
            self._arm()

    def close(self) -> None:
        """Cancel all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._loop.call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        # uvloop keeps time in milliseconds and may call a fraction of one early.
        horizon = now + 0.002
        try:
            # Bounded, so that an object whose next deadline is never later cannot block the loop.
            for _ in range(len(self._heap)):
                if self._heap[0][0] > horizon:
                    break
                when, _, timed = heappop(self._heap)
                if timed.due == when:
                    timed.due = inf
                    self.set(timed, timed.on_deadline(max(now, when)))
        finally:
            self._arm()
