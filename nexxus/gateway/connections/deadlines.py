"""Deadlines of many objects on one timer of the event loop."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Protocol


class Timed(Protocol):
    """Something with a next deadline.

    `due` belongs to `Deadlines`: the loop's time of the deadline that stands, `inf` for none.
    """

    due: float

    def on_deadline(self, now: float) -> float:
        """It is `now`, not before the deadline; returns the next one, `inf` for none."""
        ...


class Deadlines:
    """A heap of deadlines, at most one standing per object, and a single timer for the first.

    A deadline that was moved leaves its entry in the heap, which is skipped when its time
    comes: moving one later, the common case, costs nothing until then.
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
        """Let nothing fire any more."""
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
            # Bounded, so that one whose next deadline is never later cannot hold up the loop.
            for _ in range(len(self._heap)):
                if self._heap[0][0] > horizon:
                    break
                when, _, timed = heappop(self._heap)
                if timed.due == when:
                    timed.due = inf
                    self.set(timed, timed.on_deadline(max(now, when)))
        finally:
            self._arm()
