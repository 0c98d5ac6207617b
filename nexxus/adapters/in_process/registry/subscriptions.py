"""Subscriptions of devices, and the routes that they add up to. In memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from nexxus.adapters.in_process.registry.routes import InProcessRoutes, NodeKey
from nexxus.domain.channels import Subscription
from nexxus.interfaces.registry import (
    Placement,
    RouteChanges,
    RouteState,
    SubscriptionStore,
)

_STATES_PER_TURN: Final = 5_000
"""How many route states are created before the event loop gets its turn."""


class _Placed(msgspec.Struct, frozen=True, gc=False):
    """A subscription and the node that serves it."""

    subscription: Subscription
    node: NodeKey


class InProcessSubscriptions(SubscriptionStore):
    """Application → device → channel id → subscription.

    `check_open` raises when the registry is closed.
    """

    def __init__(self, check_open: Callable[[], None]) -> None:
        self._check_open = check_open
        self._routes = InProcessRoutes()
        self._by_app: dict[str, dict[str, dict[str, _Placed]]] = {}
        self._nodes: dict[NodeKey, NodeKey] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def route_count(self) -> int:
        """The number of routes of all models."""
        return len(self._routes)

    async def put(self, subscription: Subscription, transport: str, node: str) -> None:
        self._check_open()
        # One tuple per node, not one per subscription.
        place = self._nodes.setdefault((transport, node), (transport, node))
        # The new one is counted first, so that a route which both use does not end in between.
        placed = _Placed(self._count_in(subscription, place), place)
        channels = self._by_app.setdefault(subscription.app_id, {}).setdefault(
            subscription.device_id, {}
        )
        former = channels.get(subscription.channel_id)
        channels[placed.subscription.channel_id] = placed
        if former is None:
            self._count += 1
        else:
            self._count_out(former)

    async def remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: NodeKey | None = None,
    ) -> None:
        self._check_open()
        self._remove(app_id, device_id, channel_ids, served_by)

    async def placements(self, app_id: str, device_id: str) -> list[Placement]:
        self._check_open()
        channels = self._by_app.get(app_id, {}).get(device_id, {})
        return [Placement(placed.subscription, *placed.node) for placed in channels.values()]

    async def routes_version(self, app_id: str, model: str) -> int:
        self._check_open()
        return self._routes.version(app_id, model)

    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        self._check_open()
        version, complete, entries = self._routes.changes(app_id, model, since)
        states: list[RouteState] = []
        for start in range(0, len(entries), _STATES_PER_TURN):
            if start:
                # A state that changes meanwhile is newer than `version`, and is repeated later.
                await asyncio.sleep(0)
            states += [entry.state() for entry in entries[start : start + _STATES_PER_TURN]]
        return RouteChanges(version, complete, states)

    def remove_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Remove all subscriptions of devices."""
        devices = self._by_app.get(app_id, {})
        for device_id in device_ids:
            self._remove(app_id, device_id, list(devices.get(device_id, ())))

    def retire(self, node_id: str) -> None:
        """Remove the subscriptions that a node serves."""
        served = [
            (app_id, device_id, channel_id)
            for app_id, devices in self._by_app.items()
            for device_id, channels in devices.items()
            for channel_id, placed in channels.items()
            if placed.node[1] == node_id
        ]
        for app_id, device_id, channel_id in served:
            self._remove(app_id, device_id, (channel_id,))
        for node in [node for node in self._nodes if node[1] == node_id]:
            del self._nodes[node]

    def drop(self, app_id: str) -> None:
        """Remove all subscriptions of an application; the versions of its routes keep growing."""
        self.remove_devices(app_id, list(self._by_app.get(app_id, ())))
        self._by_app.pop(app_id, None)

    def _remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Iterable[str],
        served_by: NodeKey | None = None,
    ) -> None:
        devices = self._by_app.get(app_id, {})
        channels = devices.get(device_id)
        if channels is None:
            return
        for channel_id in channel_ids:
            placed = channels.get(channel_id)
            if placed is not None and served_by in (None, placed.node):
                del channels[channel_id]
                self._count -= 1
                self._count_out(placed)
        if not channels:
            del devices[device_id]

    def _count_in(self, subscription: Subscription, node: NodeKey) -> Subscription:
        """Count a subscription on its routes.

        Returns the subscription with the objects that all members of a route share.
        """
        route = self._routes.add(subscription.route, node)
        if subscription.narrowing_from is not None:
            self._routes.add(subscription.narrowing_from, node)
        descriptor, channel_id = subscription.descriptor, subscription.channel_id
        return msgspec.structs.replace(
            subscription,
            app_id=route.app_id,
            channel_id=route.key if route.key == channel_id else channel_id,
            descriptor=route.descriptor if route.descriptor == descriptor else descriptor,
            route=route,
        )

    def _count_out(self, placed: _Placed) -> None:
        self._routes.remove(placed.subscription.route, placed.node)
        if placed.subscription.narrowing_from is not None:
            self._routes.remove(placed.subscription.narrowing_from, placed.node)
