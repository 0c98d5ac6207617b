"""Narrowing: live subscriptions follow their application's roles (contract §2).

A changed role changes what a subscription may show. Its channel id stays; its route becomes
another one. While the change is under way the device is on both routes, so that no event is
missed whichever route a transport manager still knows; then what is no longer permitted is
taken away, object by object, and the former route is left. At last the device reads the channel
anew: for what it may see now and could not before, and for what was under way. An event that
was matched before the change comes when its route may be left already, and nobody knows how
long it takes; what it told of was stored before the channel is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from nexxus.actions.queries import rows_of
from nexxus.actions.subscriptions import SubscriptionHost, permitted_rows, route_of
from nexxus.domain.application import Application
from nexxus.domain.channels import Subscription
from nexxus.domain.filter_parser import from_document
from nexxus.domain.filters import EVERYTHING, NOTHING, Filter, conjoin, negate
from nexxus.domain.objects import Document
from nexxus.domain.schema import ModelType
from nexxus.errors import InvalidParameters, NexxusError
from nexxus.interfaces.database import Database, Query, SortKey
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry

_PAGE = 500


class ServedDevice(Protocol):
    """A device that this node serves, connected or silent."""

    @property
    def device_id(self) -> str:
        """The device's id."""

    @property
    def is_connected(self) -> bool:
        """Whether a connection here holds it."""


class NarrowingHost(SubscriptionHost, Protocol):
    """This node's gateway, as far as narrowing needs it."""

    def devices(self, app_id: str) -> Sequence[ServedDevice]:
        """The devices of an application that this node serves, the silent ones too."""

    async def serve(self, subscription: Subscription) -> None:
        """Serve a subscription that has changed, if there still is one and its device is here."""

    def end_sessions(self, app_id: str) -> None:
        """Close every connection of an application that is gone."""

    def send_denied(
        self, app_id: str, device_id: str, channel_id: str, objects: list[dict[str, Any]]
    ) -> None:
        """Tell the device that it may not see these any more, but for what it was sent since."""

    def send_resync(self, app_id: str, device_id: str, channels: list[str]) -> None:
        """Tell the device to read these channels anew."""


class Narrowing:
    """Narrows the subscriptions of this node's devices when an application changes."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        host: NarrowingHost,
        transport: str,
        node: str,
        logger: Logger,
    ) -> None:
        self._database = database
        self._registry = registry
        self._host = host
        self._transport = transport
        self._node = node
        self._logger = logger

    async def application_changed(
        self, former: Application | None, present: Application | None
    ) -> None:
        """Bring every subscription of the application in line with its roles and schema."""
        if former is None:
            return
        if present is None:
            self._host.end_sessions(former.id)
            return
        for device in self._host.devices(present.id):
            for placement in await self._registry.placements_of(present.id, device.device_id):
                is_here = placement.served_by == (self._transport, self._node)
                if not is_here and not device.is_connected:
                    continue  # It went to another node, which narrows what it serves.
                subscription = placement.subscription
                try:
                    await self._narrow(subscription, former, present)
                except NexxusError as error:
                    self._logger.error(
                        "a subscription could not be narrowed and was ended",
                        channel=subscription.channel_id,
                        reason=str(error),
                    )
                    await self._end(subscription)

    async def _narrow(
        self, subscription: Subscription, former: Application, present: Application
    ) -> None:
        name = subscription.descriptor.model
        model = present.models.get(name)
        if model is None or not model.subscribable:
            await self._end(subscription)
            return
        allowed = permitted_rows(present, subscription)
        channel, descriptor = subscription.channel_id, subscription.descriptor
        route = route_of(channel, present.id, descriptor, model, allowed)
        if route == subscription.route:
            return
        was_allowed = _access_of(subscription, former.models.get(name, model))
        rows = rows_of(subscription.descriptor, model)
        moving = msgspec.structs.replace(
            subscription, route=route, narrowing_from=subscription.route
        )
        await self._host.serve(moving)
        if not model.transient:
            await self._take_away(moving, model, conjoin(rows, was_allowed, negate(allowed)))
        await self._host.serve(msgspec.structs.replace(moving, narrowing_from=None))
        if allowed != NOTHING and not model.transient:
            self._host.send_resync(present.id, subscription.device_id, [subscription.channel_id])

    async def _take_away(self, subscription: Subscription, model: ModelType, lost: Filter) -> None:
        after: tuple[Any, ...] | None = None
        while True:
            page = await self._database.search(
                Query(subscription.app_id, model, lost, (SortKey("id"),), _PAGE, after=after)
            )
            if page:
                self._host.send_denied(
                    subscription.app_id,
                    subscription.device_id,
                    subscription.channel_id,
                    [_identify(document) for document in page],
                )
            if len(page) < _PAGE:
                return
            after = (page[-1]["id"],)

    async def _end(self, subscription: Subscription) -> None:
        app_id, device_id = subscription.app_id, subscription.device_id
        await self._registry.unsubscribe(app_id, device_id, [subscription.channel_id])
        await self._host.adopt(app_id, device_id)


def _access_of(subscription: Subscription, model: ModelType) -> Filter:
    """What the subscription's present route lets through."""
    access = subscription.route.access
    if access is None:
        return EVERYTHING
    try:
        return from_document(access, model)
    except InvalidParameters:  # the schema no longer knows the field: take nothing for granted
        return EVERYTHING


def _identify(document: Document) -> dict[str, Any]:
    named = ("id", "type", "appId", "userId", "version")
    return {name: document[name] for name in named if name in document}
