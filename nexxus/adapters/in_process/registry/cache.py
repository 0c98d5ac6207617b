"""A bounded cache of rows on disk."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Keeps between `capacity / 2` and `capacity` recently used entries.

    Entries are in two generations. An entry of the old generation that is used moves to the young
    one. When the young generation is full, it becomes the old one, and the former old one is
    dropped. This approximates least-recently-used at the cost of one dictionary lookup per hit.
    """

    def __init__(self, capacity: int) -> None:
        self._half = max(1, capacity // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, key: K) -> bool:
        return key in self._young or key in self._old

    def get(self, key: K, default: V) -> V:
        """The value of a key, `default` if it is not remembered."""
        if key in self._young:
            return self._young[key]
        if key in self._old:
            value = self._old.pop(key)
            self.put(key, value)
            return value
        return default

    def put(self, key: K, value: V) -> None:
        """Remember a value."""
        self._old.pop(key, None)
        self._young[key] = value
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}

    def forget(self, is_meant: Callable[[K], bool]) -> None:
        """Forget every key of which that is true."""
        self._young = {key: value for key, value in self._young.items() if not is_meant(key)}
        self._old = {key: value for key, value in self._old.items() if not is_meant(key)}
