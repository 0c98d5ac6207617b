"""Back-off: how long to wait before something that failed is tried again."""

from __future__ import annotations

import random

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """A pause that doubles with each failure, from `first` to `longest` seconds.

    `jitter` is the random part of a pause, from 0 to 1. It is needed if many callers overload one
    server: they should not all come back at the same time.
    """

    first: float
    longest: float
    jitter: float = 0.0

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after that many failures in a row, from 1."""
        doubled = self.first * 2.0 ** min(failures - 1, 60)
        pause = min(doubled, self.longest)
        return pause * random.uniform(1 - self.jitter, 1) if self.jitter else pause
