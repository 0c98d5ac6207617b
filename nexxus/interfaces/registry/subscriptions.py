"""Subscriptions of devices, and the routes that they add up to.

A node *serves* a subscription: events for it go there. The subscriptions of a *persistent* device
(`Subscription.is_persistent`) may be served by no node. While no connection holds such a device it
is *away*, and what its subscriptions match is pushed to it, whether a node still serves them or
not. Which devices are away follows from `PresenceStore`.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.domain.channels import Route, Subscription

PARTITIONS: Final = 16
"""The parts in which the devices of a channel are listed; the device's id decides."""


def partition_of(device_id: str) -> int:
    """Return the partition of a device."""
    return int(hashlib.sha1(device_id.encode()).hexdigest()[:4], 16) % PARTITIONS


class Placement(msgspec.Struct, frozen=True):
    """A subscription, and the (transport, node) that serves it; None if no node does."""

    subscription: Subscription
    served_by: tuple[str, str] | None = None


class RouteState(msgspec.Struct, frozen=True):
    """A route, the (transport, node) pairs that serve it, and whether it `has_away` devices.

    With neither, the route is gone.
    """

    route: Route
    nodes: frozenset[tuple[str, str]]
    has_away: bool = False


class RouteChanges(msgspec.Struct, frozen=True):
    """The routes of a model that have changed since a version.

    When `complete`, `states` are all existing routes, and the caller must forget any other.
    """

    version: int
    complete: bool
    states: list[RouteState]


class SubscriptionStore(ABC):
    """The subscriptions of every device, and per (application, model) the routes they need.

    A route exists while at least one subscription uses it, be it as its `route` or as its
    `narrowing_from`. If a call creates or ends a route, or changes what serves it or whether it
    has away devices, then every node sees a larger `routes_version` as soon as the call returns.

    Persistent subscriptions survive a restart of the process; they are then served by no node.
    """

    @abstractmethod
    async def put(self, subscription: Subscription, transport: str, node: str) -> None:
        """Add or replace the device's subscription to the channel; the given node serves it.

        A replaced subscription keeps its position among the device's subscriptions.
        """

    @abstractmethod
    async def put_away(self, subscription: Subscription, *, is_new: bool) -> bool:
        """Add or replace a persistent subscription that no node serves. Returns whether it did.

        Nothing changes if a node serves the device's subscription to the channel. With `is_new` a
        missing one is added, without it only an existing one is replaced.
        """

    @abstractmethod
    async def release(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str],
    ) -> None:
        """End the service of these subscriptions by this (transport, node).

        Persistent subscriptions stay, served by no node; the others are removed. Those that
        another node serves are not changed.
        """

    @abstractmethod
    async def remove(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str] | None = None,
    ) -> None:
        """Remove the device's subscriptions to these channels. Unknown channels are ignored.

        With `served_by`, a (transport, node), only subscriptions that it serves are removed; the
        comparison and the removal are one step.
        """

    @abstractmethod
    async def set_persistent(self, app_id: str, device_id: str, is_persistent: bool) -> None:
        """Make all subscriptions of a device persistent, or volatile.

        Those that become volatile and are served by no node are removed.
        """

    @abstractmethod
    async def placements(self, app_id: str, device_id: str) -> list[Placement]:
        """Return the device's subscriptions and what serves them, in the order of creation."""

    async def of_device(self, app_id: str, device_id: str) -> list[Subscription]:
        """Return the device's subscriptions in the order of creation."""
        return [each.subscription for each in await self.placements(app_id, device_id)]

    @abstractmethod
    async def away(
        self,
        app_id: str,
        model: str,
        key: str,
        partition: int,
        *,
        after: str = "",
        limit: int = 1000,
    ) -> list[str]:
        """Return ids of devices that are away and subscribe to a route, in ascending order.

        `key` is the route's routing key. `partition` is one of `PARTITIONS`, counted from 0. The
        ids are greater than `after` and at most `limit`; fewer mean that no more follow. A device
        that is listed throughout a walk from ``""`` is returned by it.
        """

    @abstractmethod
    async def routes_version(self, app_id: str, model: str) -> int:
        """Return a number that grows when the model's routes change; 0 if there never were any."""

    @abstractmethod
    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        """Return what has changed in the model's routes after version `since`; 0 means all.

        A state may be newer than the returned version; the next call then repeats it.
        """
