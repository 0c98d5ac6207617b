"""Subscriptions: a device's places in channels, made without a gap, narrowed when roles change."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from nexxus.applications.applications import Applications
from nexxus.cluster.messages import SubscriptionChanged, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.access import Action
from nexxus.domain.application import Application
from nexxus.domain.channels import SPLIT, Descriptor, Route, Subscription
from nexxus.domain.filters import EVERYTHING, NOTHING, Filter, conjoin, filter_id, to_document
from nexxus.domain.identity import Identity
from nexxus.domain.schema import ModelType
from nexxus.errors import DeviceNotConnected, InvalidParameters, NotFound
from nexxus.interfaces.registry import Placement, Presence, Registry
from nexxus.objects.queries import Paging, build_query, describe, filter_of, rows_of
from nexxus.objects.reads import Page, Reads, require, stored_model


class SubscriptionHost(Protocol):
    """A gateway of this node, as far as subscribing needs it."""

    async def adopt(self, app_id: str, device_id: str, channel_id: str | None = None) -> None:
        """Serve the device's subscriptions as the registry has them, from now on.

        `channel_id` is the one just made, if that is what changed. Raises `DeviceNotConnected`
        when the device has no connection here.
        """


class Subscribed(msgspec.Struct, frozen=True):
    """The answer to a subscription. `channel_id` is None where nothing was subscribed to."""

    channel_id: str | None
    page: Page


class Subscriptions:
    """Makes and ends subscriptions.

    `hosts` are this node's gateways, by transport. Devices may be persistent if the server
    `can_push`.
    """

    def __init__(
        self,
        *,
        applications: Applications,
        reads: Reads,
        registry: Registry,
        peers: Peers,
        hosts: Mapping[str, SubscriptionHost],
        can_push: bool,
        max_per_device: int,
        max_conditions: int,
        max_depth: int,
    ) -> None:
        self._applications = applications
        self._reads = reads
        self._registry = registry
        self._peers = peers
        self._hosts = hosts
        self._can_push = can_push
        self._max_per_device = max_per_device
        self._max_conditions = max_conditions
        self._max_depth = max_depth

    async def subscribe(
        self,
        identity: Identity,
        model_name: str,
        *,
        id: str | None,
        user_id: str | None,
        filter: Any,
        paging: Paging,
        get_only: bool,
    ) -> Subscribed:
        """Subscribe and read the first page; with `get_only` just read.

        The subscription is in force on every transport manager before the page is read, so
        whatever the page lacks arrives as an event.
        """
        application = self._applications.get(identity.app_id)
        model = application.model(model_name)
        descriptor, access = self._judge(application, identity, model, id, user_id, filter)
        # Whatever is wrong with the question is found before anything is done.
        query = build_query(application, model, conjoin(rows_of(descriptor, model), access), paging)
        if get_only:
            stored_model(application, model_name)
            return Subscribed(None, await self._reads.page(query))
        if not model.subscribable:
            raise InvalidParameters(f"{model_name} cannot be subscribed to", {"field": "model"})
        subscription = await self._subscribe(identity, model, descriptor, access)
        if model.transient:
            return Subscribed(subscription.channel_id, Page([]))
        return Subscribed(subscription.channel_id, await self._reads.page(query))

    async def unsubscribe(
        self,
        identity: Identity,
        model_name: str,
        *,
        id: str | None,
        user_id: str | None,
        filter: Any,
    ) -> str:
        """End the subscription to that channel; its id, or `NotFound`."""
        application = self._applications.get(identity.app_id)
        model = application.model(model_name)
        descriptor = self._describe(application, model, id, user_id, filter)
        access = application.access.decide(identity.caller, Action.SUBSCRIBE, model.name)
        channel = channel_id(application.id, descriptor, model, access)
        device_id = identity.device()
        placements = await self._registry.subscriptions.placements(application.id, device_id)
        # One that was narrowed has the channel id of its beginning.
        same = [each for each in placements if each.subscription.descriptor == descriptor]
        same += [each for each in placements if each.subscription.channel_id == channel]
        if not same:
            raise NotFound("this device has no such subscription")
        ended = same[0].subscription.channel_id
        await self._registry.subscriptions.remove(application.id, device_id, [ended])
        presence = await self._registry.presence.get(application.id, device_id)
        if presence is not None:
            await self._adopt(presence)
        else:
            await self._tell_keeper(same[0])
        return ended

    async def _tell_keeper(self, placement: Placement) -> None:
        """Notify the node that keeps a silent device's subscriptions, if there is one."""
        if placement.served_by is None:
            return
        subscription, (transport, node) = placement.subscription, placement.served_by
        keeper = Presence(
            subscription.app_id, subscription.device_id, node, transport, connection_id=""
        )
        with suppress(DeviceNotConnected):
            await self._adopt(keeper, is_awaited=False)

    def _judge(
        self,
        application: Application,
        identity: Identity,
        model: ModelType,
        id: str | None,
        user_id: str | None,
        filter: Any,
    ) -> tuple[Descriptor, Filter]:
        access = require(application, identity, Action.SUBSCRIBE, model)
        return self._describe(application, model, id, user_id, filter), access

    def _describe(
        self,
        application: Application,
        model: ModelType,
        id: str | None,
        user_id: str | None,
        filter: Any,
    ) -> Descriptor:
        return describe(
            application,
            model,
            id=id,
            user_id=user_id,
            filter=filter,
            max_conditions=self._max_conditions,
            max_depth=self._max_depth,
        )

    async def _subscribe(
        self, identity: Identity, model: ModelType, descriptor: Descriptor, access: Filter
    ) -> Subscription:
        """Subscribe the device, and return when events of the channel reach it."""
        app_id, device_id = identity.app_id, identity.device()
        presence, is_persistent = await self._look_up(app_id, device_id)
        if presence is None and not is_persistent:
            raise DeviceNotConnected(
                "connect the device and send a register frame before subscribing"
            )
        subscription = await self._place(
            identity, model, descriptor, access, is_persistent=is_persistent
        )
        if presence is None:
            await self._registry.subscriptions.put_away(subscription, is_new=True)
        else:
            await self._registry.subscriptions.put(subscription, presence.transport, presence.node)
        # The device may have gone to another node meanwhile. That one found the subscription, or
        # is found now and moves it to itself; see `nexxus.gateway.devices.residents`.
        present, is_persistent = await self._look_up(app_id, device_id)
        if is_persistent != subscription.is_persistent:  # it has changed meanwhile
            await self._registry.subscriptions.set_persistent(app_id, device_id, is_persistent)
        presence = present or presence
        if presence is not None:
            with suppress(*((DeviceNotConnected,) if is_persistent else ())):
                await self._adopt(presence, subscription.channel_id)
        return subscription

    async def _look_up(self, app_id: str, device_id: str) -> tuple[Presence | None, bool]:
        """Return the device's presence, and whether it is persistent."""
        if not self._can_push:
            return await self._registry.presence.get(app_id, device_id), False
        presence, device = await asyncio.gather(
            self._registry.presence.get(app_id, device_id),
            self._registry.devices.get(app_id, device_id),
        )
        return presence, device is not None and device.push is not None

    async def _place(
        self,
        identity: Identity,
        model: ModelType,
        descriptor: Descriptor,
        access: Filter,
        *,
        is_persistent: bool,
    ) -> Subscription:
        """The device's subscription to the channel: the one it has, or a new one.

        After a change of roles another query may have come to the same channel id. It takes the
        place of the former one then: for a client a channel is one view.
        """
        app_id, device_id = identity.app_id, identity.device()
        channel = channel_id(app_id, descriptor, model, access)
        held = await self._registry.subscriptions.of_device(app_id, device_id)
        for subscription in held:
            if subscription.descriptor == descriptor:
                return msgspec.structs.replace(subscription, is_persistent=is_persistent)
        is_new = all(subscription.channel_id != channel for subscription in held)
        if is_new and len(held) >= self._max_per_device:
            raise InvalidParameters(
                f"the device has {len(held)} subscriptions, which is the limit; "
                "end some, or ask the operator to raise limits.subscriptions",
                {"rule": "limits.subscriptions"},
            )
        return Subscription(
            app_id=app_id,
            device_id=device_id,
            channel_id=channel,
            descriptor=descriptor,
            route=route_of(channel, app_id, descriptor, model, access),
            user_id=identity.user_id,
            user_type=identity.user_type,
            is_persistent=is_persistent,
        )

    async def _adopt(
        self, presence: Presence, channel_id: str | None = None, *, is_awaited: bool = True
    ) -> None:
        host = self._hosts.get(presence.transport) if presence.node == self._peers.here else None
        if host is not None:
            await host.adopt(presence.app_id, presence.device_id, channel_id)
            return
        changed = SubscriptionChanged(presence.app_id, presence.device_id, channel_id)
        mailbox = gateway_mailbox(presence.transport, presence.node)
        if is_awaited:
            await self._peers.ask(mailbox, changed)
        else:
            await self._peers.send(mailbox, changed)


def channel_id(app_id: str, descriptor: Descriptor, model: ModelType, access: Filter) -> str:
    """The public name of a channel: of the client's filter and the role's together."""
    parts = [f"nxx:subscription:{app_id}:{descriptor.model}"]
    if descriptor.id is not None:
        parts.append(descriptor.id)
    if descriptor.user_id is not None:
        parts.append(f"user:{descriptor.user_id}")
    effective = conjoin(filter_of(descriptor, model), access)
    if effective != EVERYTHING:
        parts.append(f"filter:{filter_id(effective)}")
    return ":".join(parts)


def route_of(
    channel: str, app_id: str, descriptor: Descriptor, model: ModelType, access: Filter
) -> Route:
    """The audience of a channel's members who asked for this and may see `access`.

    A channel id that was made under other roles may by now be that of another query, too.
    """
    document = None if access == EVERYTHING else to_document(access)
    if document is None and channel == channel_id(app_id, descriptor, model, EVERYTHING):
        return Route(channel, app_id, descriptor)
    split = msgspec.json.encode([descriptor, document], order="deterministic")
    key = f"{channel}{SPLIT}{hashlib.sha256(split).hexdigest()[:16]}"
    return Route(key, app_id, descriptor, document)


def permitted_rows(application: Application, subscription: Subscription) -> Filter:
    """What the subscriber may see of the channel's model now."""
    identity = Identity(
        subscription.app_id, user_id=subscription.user_id, user_type=subscription.user_type
    )
    if subscription.descriptor.model not in application.models:
        return NOTHING
    return application.access.decide(
        identity.caller, Action.SUBSCRIBE, subscription.descriptor.model
    )


def rerouted(subscription: Subscription, application: Application) -> Subscription | None:
    """Return the subscription on its way to the route that the present roles give it.

    Returns it unchanged if it has that route, and None if there is none. Raises
    `InvalidParameters` if it does not fit the schema any more.
    """
    model = application.models.get(subscription.descriptor.model)
    if model is None or not model.subscribable:
        return None
    allowed = permitted_rows(application, subscription)
    channel, descriptor = subscription.channel_id, subscription.descriptor
    route = route_of(channel, application.id, descriptor, model, allowed)
    if route == subscription.route:
        return subscription
    return msgspec.structs.replace(subscription, route=route, narrowing_from=subscription.route)
