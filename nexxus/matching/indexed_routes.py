"""Indexed routes: the index's entries, and the buckets that contain them.

There may be a million entries, and nearly every bucket has only one. So entries are small, the
garbage collector skips them, and a bucket of one is the entry itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias, TypeVar

import msgspec

from nexxus.domain.filter_matcher import Matcher, compile_matcher
from nexxus.domain.filters import Compare, Filter, In, Missing
from nexxus.domain.objects import Document


class Interval(msgspec.Struct, frozen=True, gc=False):
    """The number at `path` is between `low` and `high`; the bounds may or may not be included."""

    path: str
    low: int | float
    high: int | float


Anchor: TypeAlias = Compare | In | Missing | Interval
"""A condition that an object must meet to match, and by which routes can be looked up."""


class Predicate(msgspec.Struct, eq=False, gc=False):
    """A filter shared by `uses` routes; compiled when it is first evaluated."""

    filter: Filter
    uses: int = 0
    matcher: Matcher | None = None

    def holds(self, document: Document) -> bool:
        """Return whether the object matches."""
        if self.matcher is None:
            self.matcher = compile_matcher(self.filter)
        return self.matcher(document)


class IndexedRoute(msgspec.Struct, eq=False, gc=False):
    """One route in the index.

    An object that meets one of `anchors` matches the route if `residual` also holds; None means
    that nothing remains to be evaluated. `access` selects the objects that the route's members may
    see, None for all.
    """

    key: str
    anchors: tuple[Anchor, ...]
    residual: Predicate | None
    access: Predicate | None


Bucket: TypeAlias = IndexedRoute | set[IndexedRoute]
K = TypeVar("K", bound=Hashable)


def put(table: dict[K, Bucket], key: K, entry: IndexedRoute) -> None:
    """Add `entry` to the bucket at `key`."""
    bucket = table.setdefault(key, entry)
    if isinstance(bucket, set):
        bucket.add(entry)
    elif bucket is not entry:
        table[key] = {bucket, entry}


def discard(table: dict[K, Bucket], key: K, entry: IndexedRoute) -> None:
    """Remove `entry`, if present, from the bucket at `key`, and the bucket if it is then empty."""
    bucket = table.get(key)
    if bucket is entry:
        del table[key]
    elif isinstance(bucket, set):
        bucket.discard(entry)
        if len(bucket) == 1:
            table[key] = bucket.pop()


def load_of(table: dict[K, Bucket], key: K) -> int:
    """Return the number of entries in the bucket at `key`."""
    bucket = table.get(key)
    if bucket is None:
        return 0
    return len(bucket) if isinstance(bucket, set) else 1


def collect(bucket: Bucket | None, found: set[IndexedRoute]) -> None:
    """Add the bucket's entries to `found`."""
    if isinstance(bucket, set):
        found |= bucket
    elif bucket is not None:
        found.add(bucket)
