"""Flights: which objects devices are writing to, from publishing until the write has landed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from nexxus.domain.objects import ObjectKey

Flight: TypeAlias = tuple[str | None, ObjectKey]
"""A device, None for nobody in particular, and the object that it writes to."""


class Flights:
    """The writes of this node that may not have reached the database yet.

    A write is under way while it is published, and for `linger` seconds after that: 0 where the
    broker confirms a write once it is stored.
    """

    def __init__(self, linger: float, now: Callable[[], float] = time.monotonic) -> None:
        self._linger = linger
        self._now = now
        self._under_way: dict[Flight, int] = {}
        self._landing: deque[tuple[float, Flight]] = deque()

    def __contains__(self, flight: Flight) -> bool:
        self._forget_landed()
        return flight in self._under_way

    def begin(self, flight: Flight) -> None:
        """A write is being published; to be followed by `published`."""
        self._under_way[flight] = self._under_way.get(flight, 0) + 1

    def published(self, flight: Flight) -> None:
        """The publishing of a write is over, whatever came of it."""
        if self._linger:
            self._landing.append((self._now() + self._linger, flight))
            self._forget_landed()
        else:
            self._land(flight)

    def _forget_landed(self) -> None:
        now = self._now() if self._landing else 0.0
        while self._landing and self._landing[0][0] <= now:
            self._land(self._landing.popleft()[1])

    def _land(self, flight: Flight) -> None:
        others = self._under_way.pop(flight) - 1
        if others:
            self._under_way[flight] = others
