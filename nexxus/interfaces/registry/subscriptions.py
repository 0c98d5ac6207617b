"""Subscriptions of devices, and the routes that they add up to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from nexxus.domain.channels import Route, Subscription


class Placement(msgspec.Struct, frozen=True):
    """A subscription, and the transport and node that serve it."""

    subscription: Subscription
    transport: str
    node: str

    @property
    def served_by(self) -> tuple[str, str]:
        """The transport and the node."""
        return (self.transport, self.node)


class RouteState(msgspec.Struct, frozen=True):
    """A route and the (transport, node) pairs that have subscribers on it; none if it is gone."""

    route: Route
    nodes: frozenset[tuple[str, str]]


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
    `narrowing_from`.
    """

    @abstractmethod
    async def put(self, subscription: Subscription, transport: str, node: str) -> None:
        """Add or replace the device's subscription to the channel; the given node serves it.

        If a route was created, or is now served by other nodes than before, every node sees a
        larger `routes_version` as soon as this returns. A replaced subscription keeps its
        position among the device's subscriptions.
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
    async def placements(self, app_id: str, device_id: str) -> list[Placement]:
        """Return the device's subscriptions and what serves them, in the order of creation."""

    async def of_device(self, app_id: str, device_id: str) -> list[Subscription]:
        """Return the device's subscriptions in the order of creation."""
        return [each.subscription for each in await self.placements(app_id, device_id)]

    @abstractmethod
    async def routes_version(self, app_id: str, model: str) -> int:
        """Return a number that grows when the model's routes change; 0 if there never were any."""

    @abstractmethod
    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        """Return what has changed in the model's routes after version `since`; 0 means all.

        A state may be newer than the returned version; the next call then repeats it.
        """
