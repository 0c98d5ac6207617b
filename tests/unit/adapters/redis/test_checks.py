"""Redis's configuration decides whether the registry may use it."""

from __future__ import annotations

from typing import Any

import pytest

from nexxus.adapters.redis.registry import check
from nexxus.errors import StartupError
from nexxus.testing.journal import Journal

SOUND: dict[str, Any] = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}


def test_a_redis_with_full_persistence_is_used_without_a_warning() -> None:
    journal = Journal()
    check(SOUND, is_cluster=False, logger=journal)
    assert journal.records == []


@pytest.mark.parametrize(
    ("fact", "value", "warning"),
    [
        ("maxmemory_policy", "allkeys-lru", "evicts keys when memory is short"),
        ("aof_enabled", 0, "keeps no append-only file"),
    ],
)
def test_a_redis_that_may_lose_something_is_logged(fact: str, value: Any, warning: str) -> None:
    journal = Journal()
    check({**SOUND, fact: value}, is_cluster=False, logger=journal)
    (message,) = journal.messages
    assert warning in message


def test_a_redis_that_is_too_old_is_refused() -> None:
    with pytest.raises(StartupError, match=r"Redis 6\.2\.14 is too old"):
        check({**SOUND, "redis_version": "6.2.14"}, is_cluster=False, logger=Journal())
