"""A clock that stands still until a test moves it."""

from __future__ import annotations


class Clock:
    """Calling it returns the time, in seconds, as `time.time` and `time.monotonic` do."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += seconds
