"""Indexed routes: what the index remembers of a route, and the buckets that hold them.

There may be a million of them, nearly all alone in their bucket. So they are small, the
garbage collector does not look at them, and a bucket of one is the route itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias, TypeVar

import msgspec

from nexxus.domain.filter_matcher import Matcher, compile_matcher
from nexxus.domain.filters import Compare, Filter, In, Missing
from nexxus.domain.objects import Document


class Interval(msgspec.Struct, frozen=True, gc=False):
    """The number at `path` is from `low` to `high`, the bounds included or not."""

    path: str
    low: int | float
    high: int | float


Anchor: TypeAlias = Compare | In | Missing | Interval
"""A condition that an object must meet to match, and by which it can be looked up."""


class Predicate(msgspec.Struct, eq=False, gc=False):
    """A filter that `uses` routes share; compiled when an object first needs judging."""

    filter: Filter
    uses: int = 0
    matcher: Matcher | None = None

    def holds(self, document: Document) -> bool:
        """Whether the object matches."""
        if self.matcher is None:
            self.matcher = compile_matcher(self.filter)
        return self.matcher(document)


class IndexedRoute(msgspec.Struct, eq=False, gc=False):
    """One route in the index.

    An object that one of `anchors` finds matches the route if `residual` holds, too (None:
    nothing is left to ask). `access` is what the route's members may see, None for all.
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
    """Take `entry`, if it is there, from the bucket at `key`; an empty bucket goes, too."""
    bucket = table.get(key)
    if bucket is entry:
        del table[key]
    elif isinstance(bucket, set):
        bucket.discard(entry)
        if len(bucket) == 1:
            table[key] = bucket.pop()


def load_of(table: dict[K, Bucket], key: K) -> int:
    """How many entries are in the bucket at `key`."""
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
