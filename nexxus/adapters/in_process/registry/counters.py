"""Counters of fixed windows, in memory: a restart begins them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

_FEW: Final = 1024


class _Counter(msgspec.Struct, gc=False):
    value: int
    ends_at: float


class Counters:
    """Counts hits per (application, scope, key). `clock` tells UNIX seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counters: dict[tuple[str, str, str], _Counter] = {}
        self._clean_at = _FEW

    def __len__(self) -> int:
        return len(self._counters)

    def hit(self, app_id: str, scope: str, key: str, window: int, add: int) -> int:
        """Add to a counter, whose window begins with its first hit; its value after."""
        now = self._clock()
        name = (app_id, scope, key)
        counter = self._counters.get(name)
        if counter is None or counter.ends_at <= now:
            if not add:
                return 0
            self._make_room(now)
            counter = self._counters[name] = _Counter(0, now + window)
        counter.value += add
        return counter.value

    def drop(self, app_id: str) -> None:
        """Forget the counters of an application."""
        self._counters = {
            name: counter for name, counter in self._counters.items() if name[0] != app_id
        }

    def _make_room(self, now: float) -> None:
        # Cleaning whenever the number has doubled costs each counter a constant.
        if len(self._counters) < self._clean_at:
            return
        self._counters = {
            name: counter for name, counter in self._counters.items() if counter.ends_at > now
        }
        self._clean_at = max(_FEW, 2 * len(self._counters))
