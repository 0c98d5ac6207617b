"""The rate limit's buckets."""

from __future__ import annotations

import pytest
from clock import Clock

from nexxus.errors import TooManyRequests
from nexxus.toolkit.rate_limit import RateLimit


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_of_one_seconds_requests_is_allowed(clock: Clock) -> None:
    limit = RateLimit(3, clock=clock)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(TooManyRequests) as caught:
        limit.take("a")
    assert caught.value.retry_after == 1


def test_the_bucket_fills_with_time(clock: Clock) -> None:
    limit = RateLimit(2, clock=clock)
    limit.take("a")
    limit.take("a")
    clock.advance(0.5)
    limit.take("a")
    with pytest.raises(TooManyRequests):
        limit.take("a")


def test_each_client_has_its_own_bucket(clock: Clock) -> None:
    limit = RateLimit(1, clock=clock)
    limit.take("a")
    limit.take("b")


def test_a_low_rate_returns_how_long_to_wait(clock: Clock) -> None:
    limit = RateLimit(0.1, clock=clock)
    limit.take("a")
    with pytest.raises(TooManyRequests) as caught:
        limit.take("a")
    assert caught.value.retry_after == 10
    clock.advance(caught.value.retry_after)
    limit.take("a")
