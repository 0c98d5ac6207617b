"""Counters of fixed time windows, for rate limits."""

from __future__ import annotations

from abc import ABC, abstractmethod


class CounterStore(ABC):
    """A counter is named by application, scope and key."""

    @abstractmethod
    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        """Add to a counter and return its new value.

        The first hit starts a window of `window` seconds; when it is over, the counter is 0
        again. With ``add=0`` the value is only read, and no window starts.
        """
