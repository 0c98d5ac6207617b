"""The routing table: one model's routes, kept up to date with the registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nexxus.cluster.messages import Delivery
from nexxus.domain.channels import Route
from nexxus.domain.events import Event
from nexxus.domain.objects import time_of
from nexxus.domain.patches import can_be_patched
from nexxus.domain.schema import ModelType
from nexxus.domain.verdicts import Verdict, Verdicts
from nexxus.errors import InvalidParameters
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry, RouteState
from nexxus.matching import RouteIndex

Target = tuple[str, str]
"""A transport and a node."""

AWAY: Final[Target] = ("", "")
"""The target for the part that pushes to devices that are away."""


class RoutingTable:
    """The routes of one application's model, indexed, and the nodes of each route.

    `version` is the registry's version of the routes that the table has. If the server `can_push`,
    a route with away devices also leads to `AWAY`.
    """

    def __init__(self, app_id: str, model: ModelType, *, can_push: bool, logger: Logger) -> None:
        self._can_push = can_push
        self._logger = logger
        self._app_id = app_id
        self.model = model
        self.version = 0
        self._index = RouteIndex(model)
        self._nodes: dict[str, frozenset[Target]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    async def refresh(self, registry: Registry) -> None:
        """Load changed routes from the registry; one small call if nothing changed."""
        version = await registry.subscriptions.routes_version(self._app_id, self.model.name)
        if version == self.version:
            return
        changes = await registry.subscriptions.routes(self._app_id, self.model.name, self.version)
        if changes.complete:
            self._index = RouteIndex(self.model)
            self._nodes.clear()
        for state in changes.states:
            self._put(state)
        self.version = changes.version

    def deliveries(
        self, event: Event, told: set[tuple[Target, str]]
    ) -> Iterable[tuple[Target, Delivery]]:
        """Return the deliveries of an event that nodes with subscribers have not been sent yet.

        `told` has the (node, routing key) pairs that were sent before, and is extended. If it was
        not empty, the deliveries are late.
        """
        if not self._nodes:
            return ()
        is_late = bool(told)
        by_target: dict[Target, Verdicts] = {}
        for key, verdict in self._index.match(event).items():
            for target in self._nodes.get(key, ()):
                if (target, key) not in told:
                    told.add((target, key))
                    by_target.setdefault(target, {})[key] = verdict
        accepted_at = time_of(event.operation_id)
        return [
            (target, _delivery(event, verdicts, accepted_at, is_late))
            for target, verdicts in by_target.items()
        ]

    def _put(self, state: RouteState) -> None:
        key = state.route.key
        targets = state.nodes | {AWAY} if state.has_away and self._can_push else state.nodes
        if not targets:
            if self._nodes.pop(key, None) is not None:
                self._index.remove(key)
            return
        if key not in self._nodes and not self._add(state.route):
            return
        self._nodes[key] = targets

    def _add(self, route: Route) -> bool:
        """Index a route. Returns False if it does not fit the current schema.

        A gateway then ends its subscriptions; until that is done, they get no events.
        """
        try:
            self._index.add(route)
        except InvalidParameters as error:
            self._logger.warning(
                "a route does not fit the schema, and gets no events",
                application=route.app_id,
                route=route.key,
                reason=error.message,
            )
            return False
        return True


def _delivery(event: Event, verdicts: Verdicts, accepted_at: int, is_late: bool) -> Delivery:
    """Return the delivery: patches for an update, the whole object if there are none."""
    present = verdicts.values()
    is_patched = Verdict.UPDATED in present and can_be_patched(event.patches)
    patches = event.patches if is_patched else []
    needs_object = Verdict.CREATED in present or (Verdict.UPDATED in present and not patches)
    return Delivery(
        app_id=event.app_id,
        type=event.type,
        id=event.id,
        version=event.version,
        user_id=event.user_id,
        object=event.after if needs_object else None,
        patches=patches,
        verdicts=verdicts,
        event_id=event.operation_id if event.version is None else "",
        accepted_at=accepted_at,
        is_late=is_late,
    )
