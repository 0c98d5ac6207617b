"""The rate limit's buckets."""

from __future__ import annotations

from typing import Any

import pytest

from nexxus.accounts import rate_limit
from nexxus.accounts.rate_limit import RateLimit
from nexxus.errors import TooManyRequests


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(rate_limit, "time", clock)
    return clock


def test_a_second_s_worth_goes_through_at_once_and_no_more(clock: Any) -> None:
    limit = RateLimit(3)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(TooManyRequests) as caught:
        limit.take("a")
    assert caught.value.retry_after == 1


def test_the_bucket_fills_with_time(clock: Any) -> None:
    limit = RateLimit(2)
    limit.take("a")
    limit.take("a")
    clock.now += 0.5
    limit.take("a")
    with pytest.raises(TooManyRequests):
        limit.take("a")


def test_everybody_has_a_bucket_of_their_own(clock: Any) -> None:
    limit = RateLimit(1)
    limit.take("a")
    limit.take("b")


def test_a_slow_rate_says_how_long_to_wait(clock: Any) -> None:
    limit = RateLimit(0.1)
    limit.take("a")
    with pytest.raises(TooManyRequests) as caught:
        limit.take("a")
    assert caught.value.retry_after == 10
    clock.now += caught.value.retry_after
    limit.take("a")
