"""Subscriptions of devices, in memory, and the routes that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from nexxus.adapters.in_process.registry.routes import NodeKey, Routes
from nexxus.domain.channels import Subscription
from nexxus.interfaces.registry import Placement


class _Placed(msgspec.Struct, frozen=True, gc=False):
    """A subscription and the node that serves it."""

    subscription: Subscription
    node: NodeKey


class Subscriptions:
    """Application → device → channel id → the subscription."""

    def __init__(self) -> None:
        self.routes = Routes()
        self._by_app: dict[str, dict[str, dict[str, _Placed]]] = {}
        self._nodes: dict[NodeKey, NodeKey] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, subscription: Subscription, node: NodeKey) -> None:
        """Add a subscription, or replace the device's one to the same channel in its place."""
        # One tuple per node, not one per subscription.
        node = self._nodes.setdefault(node, node)
        # Counting the new one first keeps a route alive that both are members of.
        placed = _Placed(self._count_in(subscription, node), node)
        channels = self._by_app.setdefault(subscription.app_id, {}).setdefault(
            subscription.device_id, {}
        )
        former = channels.get(subscription.channel_id)
        channels[placed.subscription.channel_id] = placed
        if former is None:
            self._count += 1
        else:
            self._count_out(former)

    def remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Iterable[str],
        served_by: NodeKey | None = None,
    ) -> None:
        """Remove subscriptions of a device, if that node serves them; unknown ones are fine."""
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

    def of(self, app_id: str, device_id: str) -> list[Placement]:
        """The device's subscriptions and who serves them, in the order they were made."""
        channels = self._by_app.get(app_id, {}).get(device_id, {})
        return [Placement(placed.subscription, *placed.node) for placed in channels.values()]

    def remove_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Remove all subscriptions of devices."""
        devices = self._by_app.get(app_id, {})
        for device_id in device_ids:
            self.remove(app_id, device_id, list(devices.get(device_id, ())))

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
            self.remove(app_id, device_id, (channel_id,))
        for node in [node for node in self._nodes if node[1] == node_id]:
            del self._nodes[node]

    def drop(self, app_id: str) -> None:
        """Remove all subscriptions of an application; its routes' versions go on growing."""
        self.remove_devices(app_id, list(self._by_app.get(app_id, ())))
        self._by_app.pop(app_id, None)

    def _count_in(self, subscription: Subscription, node: NodeKey) -> Subscription:
        """Count a subscription on its routes; it, sharing what all members of a route share."""
        route = self.routes.add(subscription.route, node)
        if subscription.narrowing_from is not None:
            self.routes.add(subscription.narrowing_from, node)
        descriptor, channel_id = subscription.descriptor, subscription.channel_id
        return msgspec.structs.replace(
            subscription,
            app_id=route.app_id,
            channel_id=route.key if route.key == channel_id else channel_id,
            descriptor=route.descriptor if route.descriptor == descriptor else descriptor,
            route=route,
        )

    def _count_out(self, placed: _Placed) -> None:
        self.routes.remove(placed.subscription.route, placed.node)
        if placed.subscription.narrowing_from is not None:
            self.routes.remove(placed.subscription.narrowing_from, placed.node)
