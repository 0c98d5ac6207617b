"""The index from an event to its channels.

Each route is indexed by the most selective condition that its objects must meet. An event looks up
its object's values and evaluates only the routes found there, so the work grows with the number of
these candidates, not with the number of routes.
"""

from __future__ import annotations

from collections.abc import Iterator

from nexxus.domain.channels import Route
from nexxus.domain.events import Event
from nexxus.domain.filter_parser import from_document
from nexxus.domain.filters import EVERYTHING, Compare, Filter, Op, conjoin
from nexxus.domain.objects import Document
from nexxus.domain.schema import ModelType
from nexxus.domain.verdicts import Verdict, Verdicts
from nexxus.matching.indexed_routes import Anchor, IndexedRoute, Predicate
from nexxus.matching.paths import PathIndex
from nexxus.matching.plans import plan


class RouteIndex:
    """The routes of one model of one application.

    It is built for one compiled model; when the schema changes, a new index is built.
    """

    def __init__(self, model: ModelType) -> None:
        self._model = model
        self._entries: dict[str, IndexedRoute] = {}
        self._paths: dict[str, PathIndex] = {}
        self._unanchored: set[IndexedRoute] = set()
        self._predicates: dict[Filter, Predicate] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def add(self, route: Route) -> None:
        """Add a route, replacing one with the same key.

        Raises `InvalidParameters` if a filter does not fit the model; then nothing is changed.
        """
        access = self._filter(route.access)
        condition = conjoin(*self._conditions(route), access)
        self.remove(route.key)
        found = plan(condition, self._share)
        residual = condition if found is None else found.residual
        entry = IndexedRoute(
            route.key,
            () if found is None else found.anchors,
            self._acquire(residual),
            self._acquire(access),
        )
        self._entries[route.key] = entry
        if found is None:
            self._unanchored.add(entry)
        for anchor in entry.anchors:
            self._path(anchor.path).add(anchor, entry)

    def remove(self, key: str) -> None:
        """Remove the route with this key, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._unanchored.discard(entry)
        for anchor in entry.anchors:
            self._paths[anchor.path].remove(anchor, entry)
            if not self._paths[anchor.path]:
                del self._paths[anchor.path]
        self._release(entry.residual)
        self._release(entry.access)

    def match(self, event: Event) -> Verdicts:
        """Return the routing keys that the event concerns, and what it means for each.

        An object that no longer matches has left, or is denied if the route's access no longer
        permits it.
        """
        before, after = self._members(event.before), self._members(event.after)
        # Subscribers may or may not have seen a repeated event, so they get the whole object.
        known = after & before if not event.repeated else set()
        if event.after is None:
            return {entry.key: Verdict.DELETED for entry in before}
        verdicts = {entry.key: Verdict.CREATED for entry in after - known}
        for entry in known:
            verdicts[entry.key] = Verdict.UPDATED
        for entry in before - after:
            is_allowed = entry.access is None or entry.access.holds(event.after)
            verdicts[entry.key] = Verdict.LEFT if is_allowed else Verdict.DENIED
        return verdicts

    def _members(self, document: Document | None) -> set[IndexedRoute]:
        """Return the entries whose routes the object matches."""
        if document is None:
            return set()
        found = self._unanchored.copy()
        for path in self._paths.values():
            path.collect(document, found)
        return {
            entry for entry in found if entry.residual is None or entry.residual.holds(document)
        }

    def _conditions(self, route: Route) -> Iterator[Filter]:
        descriptor = route.descriptor
        if descriptor.id is not None:
            yield Compare("id", Op.EQ, descriptor.id)
        if descriptor.user_id is not None:
            yield Compare("userId", Op.EQ, descriptor.user_id)
        yield self._filter(descriptor.filter)

    def _filter(self, document: dict[str, object] | None) -> Filter:
        return EVERYTHING if document is None else from_document(document, self._model)

    def _share(self, anchor: Anchor) -> float:
        path = self._paths.get(anchor.path)
        return (path or PathIndex(anchor.path)).share(anchor)

    def _path(self, path: str) -> PathIndex:
        found = self._paths.get(path)
        if found is None:
            found = self._paths[path] = PathIndex(path)
        return found

    def _acquire(self, filter: Filter | None) -> Predicate | None:
        """Return the predicate shared by all entries with this filter, or None for no filter."""
        if filter is None or filter == EVERYTHING:
            return None
        found = self._predicates.get(filter)
        if found is None:
            found = self._predicates[filter] = Predicate(filter)
        found.uses += 1
        return found

    def _release(self, predicate: Predicate | None) -> None:
        if predicate is None:
            return
        predicate.uses -= 1
        if not predicate.uses:
            del self._predicates[predicate.filter]
