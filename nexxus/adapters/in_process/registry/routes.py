"""Routes: which nodes have subscribers of a route, and what changed since a version.

There may be a million of them, so an entry is small, and there is no separate log of changes: a
model's entries are kept **in the order of their last change**, and what changed since a version
is read from the end. Only routes that are gone have a short log; a caller that asks for more than
it holds gets all routes.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from nexxus.domain.channels import Route
from nexxus.interfaces.registry import RouteState

NodeKey: TypeAlias = tuple[str, str]
"""A transport and a node."""

AWAY: Final[NodeKey] = ("", "")
"""Counts the devices that are away, as if a node served them."""

GONE_REMEMBERED: Final = 10_000
"""How many removed routes a model remembers."""


class RouteEntry(msgspec.Struct, gc=False):
    """A route, the number of its subscribers per node, and the version of its last change.

    `holders` is a tuple because it nearly always has one element, and then takes a third of the
    memory of a dictionary.
    """

    route: Route
    holders: tuple[tuple[NodeKey, int], ...]
    version: int

    def state(self) -> RouteState:
        """The entry in the terms of the interface."""
        nodes, has_away = _nodes_of(tuple(node for node, _ in self.holders))
        return RouteState(self.route, nodes, has_away)


class _ModelRoutes:
    """The routes of one model of one application."""

    __slots__ = ("complete_before", "entries", "gone", "version")

    def __init__(self) -> None:
        self.version = 0
        self.entries: dict[str, RouteEntry] = {}
        self.gone: deque[tuple[int, Route]] = deque()
        self.complete_before = 0
        """Callers with an earlier version have missed removed routes, and need all of them."""


class InProcessRoutes:
    """All routes, by application and model."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], _ModelRoutes] = {}

    def __len__(self) -> int:
        return sum(len(model.entries) for model in self._models.values())

    def add(self, route: Route, node: NodeKey) -> Route:
        """Count one more subscriber. Returns the stored route, for subscriptions to share."""
        model = self._models.setdefault((route.app_id, route.descriptor.model), _ModelRoutes())
        entry = model.entries.get(route.key)
        if entry is None:
            entry = RouteEntry(route, ((node, 1),), 0)
            _touch(model, entry)
            return route
        counts = dict(entry.holders)
        is_new = node not in counts
        counts[node] = counts.get(node, 0) + 1
        entry.holders = tuple(counts.items())
        if is_new:
            _touch(model, entry)
        return entry.route if entry.route == route else route

    def remove(self, route: Route, node: NodeKey) -> None:
        """Count one subscriber less, which `add` has counted."""
        model = self._models[(route.app_id, route.descriptor.model)]
        entry = model.entries[route.key]
        counts = dict(entry.holders)
        counts[node] -= 1
        if counts[node]:
            entry.holders = tuple(counts.items())
            return
        del counts[node]
        entry.holders = tuple(counts.items())
        if counts:
            _touch(model, entry)
        else:
            _forget(model, entry)

    def version(self, app_id: str, model_name: str) -> int:
        """The version of a model's routes."""
        model = self._models.get((app_id, model_name))
        return 0 if model is None else model.version

    def changes(
        self, app_id: str, model_name: str, since: int
    ) -> tuple[int, bool, list[RouteEntry]]:
        """Returns the version, whether the entries are all routes, and the entries."""
        model = self._models.get((app_id, model_name))
        if model is None:
            return 0, True, []
        if since <= 0 or since > model.version or since < model.complete_before:
            return model.version, True, list(model.entries.values())
        changed: dict[str, RouteEntry] = {}
        for entry in reversed(model.entries.values()):
            if entry.version <= since:
                break
            changed[entry.route.key] = entry
        for version, route in reversed(model.gone):
            if version <= since:
                break
            if route.key not in model.entries:
                changed.setdefault(route.key, RouteEntry(route, (), version))
        return model.version, False, list(changed.values())


def _touch(model: _ModelRoutes, entry: RouteEntry) -> None:
    """Give a changed entry the next version and move it to the end."""
    model.version += 1
    entry.version = model.version
    model.entries.pop(entry.route.key, None)
    model.entries[entry.route.key] = entry


def _forget(model: _ModelRoutes, entry: RouteEntry) -> None:
    model.version += 1
    del model.entries[entry.route.key]
    model.gone.append((model.version, entry.route))
    if len(model.gone) > GONE_REMEMBERED:
        model.complete_before, _ = model.gone.popleft()


@lru_cache(maxsize=1024)
def _nodes_of(holders: tuple[NodeKey, ...]) -> tuple[frozenset[NodeKey], bool]:
    """Return the nodes, and whether there are away devices; one set for equal routes."""
    return frozenset(holders) - {AWAY}, AWAY in holders
