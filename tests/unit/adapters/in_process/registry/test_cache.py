"""The bounded cache in front of the registry's file."""

from nexxus.adapters.in_process.registry.cache import Cache


def test_a_cache_stays_within_its_capacity() -> None:
    cache: Cache[int, int] = Cache(10)
    for number in range(1_000):
        cache.put(number, number)
        assert len(cache) <= 11


def test_recently_added_entries_are_kept() -> None:
    cache: Cache[int, int] = Cache(10)
    for number in range(1_000):
        cache.put(number, number)
    assert [cache.get(number, -1) for number in range(996, 1_000)] == [996, 997, 998, 999]
    assert cache.get(0, -1) == -1


def test_used_entries_are_kept_and_unused_ones_are_evicted() -> None:
    cache: Cache[str, int] = Cache(10)
    cache.put("used", 1)
    cache.put("unused", 2)
    for number in range(100):
        cache.put(f"other {number}", number)
        assert cache.get("used", 0) == 1
    assert "unused" not in cache


def test_a_value_is_replaced_in_every_generation() -> None:
    cache: Cache[str, int] = Cache(4)
    cache.put("key", 1)
    for number in range(3):
        cache.put(f"other {number}", number)
    cache.put("key", 2)
    assert cache.get("key", 0) == 2


def test_none_is_cached_as_a_value() -> None:
    cache: Cache[str, int | None] = Cache(4)
    cache.put("key", None)
    assert "key" in cache
    assert cache.get("key", 1) is None


def test_only_the_selected_keys_are_removed() -> None:
    cache: Cache[int, int] = Cache(10)
    for number in range(8):
        cache.put(number, number)
    cache.forget(lambda key: key % 2 == 0)
    assert [number for number in range(8) if number in cache] == [1, 3, 5, 7]
