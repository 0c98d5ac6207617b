"""Counters of fixed windows, in memory: a restart resets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from nexxus.interfaces.registry import CounterStore

_FEW: Final = 1024


class _Counter(msgspec.Struct, gc=False):
    value: int
    ends_at: float


class InProcessCounters(CounterStore):
    """`clock` returns UNIX seconds; `check_open` raises when the registry is closed."""

    def __init__(self, clock: Callable[[], float], check_open: Callable[[], None]) -> None:
        self._check_open = check_open
        self._clock = clock
        self._counters: dict[tuple[str, str, str], _Counter] = {}
        self._clean_at = _FEW

    def __len__(self) -> int:
        return len(self._counters)

    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        self._check_open()
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
        """Remove the counters of an application."""
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
