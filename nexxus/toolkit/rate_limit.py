"""The rate limit: a bucket of requests and frames per device, else per address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from nexxus.errors import TooManyRequests

_BUCKETS: Final = 100_000
"""How many buckets are kept; the least recently used one is forgotten first."""


class RateLimit:
    """Allows `rate` requests per second for each key, and a second's worth at once.

    Each node counts on its own. A rate of 0 allows everything. `clock` returns seconds and never
    goes back.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.enabled = rate > 0
        self._rate = rate
        self._size = max(rate, 1.0)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take_device(self, app_id: str, device_id: str) -> None:
        """Count a request or a frame of a device; see `take`."""
        self.take(f"{app_id}/{device_id}")

    def take(self, key: str) -> None:
        """Count a request; raise `TooManyRequests` if the key has made too many."""
        now = self._clock()
        level, then = self._buckets.get(key, (self._size, now))
        level = min(self._size, level + (now - then) * self._rate)
        if level < 1.0:
            wait = math.ceil((1.0 - level) / self._rate)
            raise TooManyRequests(
                f"more than {self._rate:g} requests per second; wait {wait} s",
                retry_after=wait,
            )
        self._buckets[key] = (level - 1.0, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
