"""Subscriptions that devices make over HTTP: they are served where the device is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from nexxus.cluster.messages import SubscriptionChanged, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.channels import Subscription
from nexxus.domain.identity import Identity
from nexxus.errors import DeviceNotConnected
from nexxus.interfaces.registry import Placement, Presence, Registry
from nexxus.objects.replies import Channel, ChannelPage
from nexxus.objects.requests import SubscribeRequest, UnsubscribeRequest
from nexxus.objects.subscriptions import Subscriptions

_ATTEMPTS: Final = 3
"""How often a device is subscribed whose connection changes meanwhile."""


class SubscriptionHost(Protocol):
    """A gateway of this node, as far as subscribing over HTTP needs it."""

    async def adopt(self, app_id: str, device_id: str, channel_id: str | None = None) -> None:
        """Serve the device's subscriptions as the registry has them, from now on.

        `channel_id` is the one just made, if that is the change. Raises `DeviceNotConnected` if
        the device has no connection here, or that subscription has ended since.
        """


class DeviceSubscriptions:
    """Makes and ends the subscriptions of devices that ask over HTTP.

    `hosts` are this node's gateways, by transport. Devices may be persistent if the server
    `can_push`.
    """

    def __init__(
        self,
        *,
        subscriptions: Subscriptions,
        registry: Registry,
        peers: Peers,
        hosts: Mapping[str, SubscriptionHost],
        can_push: bool,
    ) -> None:
        self._subscriptions = subscriptions
        self._registry = registry
        self._peers = peers
        self._hosts = hosts
        self._can_push = can_push

    async def subscribe(self, identity: Identity, request: SubscribeRequest) -> ChannelPage:
        """Subscribe the device and return the first page; with `get_only` return only the page.

        Every transport manager knows the subscription before the page is read.
        """
        for _ in range(_ATTEMPTS - 1):
            # Subscriptions of the former connection end with the first frame of the present one,
            # which may be just now. What the device may see is judged anew.
            with suppress(DeviceNotConnected):
                return await self._subscribe(identity, request)
        return await self._subscribe(identity, request)

    async def unsubscribe(self, identity: Identity, request: UnsubscribeRequest) -> Channel:
        """End a subscription of the device, and return its channel; raises `NotFound`."""
        app_id, device_id = identity.app_id, identity.device()
        placements = await self._registry.subscriptions.placements(app_id, device_id)
        held = {each.subscription.channel_id: each for each in placements}
        ended = self._subscriptions.find(
            identity, request, [each.subscription for each in placements]
        )
        channel = ended.channel_id
        await self._registry.subscriptions.remove(app_id, device_id, [channel])
        presence = await self._registry.presence.get(app_id, device_id)
        if presence is not None:
            await self._adopt(presence)
        else:
            await self._notify_keeper(held[channel])
        return Channel(channel=channel)

    async def _subscribe(self, identity: Identity, request: SubscribeRequest) -> ChannelPage:
        opening = self._subscriptions.open(identity, request)
        served = None
        if opening.subscription is not None:
            served = await self._serve(opening.subscription)
        return await self._subscriptions.first_page(opening, served)

    async def _serve(self, wanted: Subscription) -> Subscription:
        """Subscribe the device; return when events of the channel reach it."""
        app_id, device_id = wanted.app_id, wanted.device_id
        presence, is_persistent = await self._look_up(app_id, device_id)
        if presence is None and not is_persistent:
            raise DeviceNotConnected(
                "connect the device and send a register frame before subscribing"
            )
        held = await self._registry.subscriptions.of_device(app_id, device_id)
        subscription = msgspec.structs.replace(
            self._subscriptions.admit(wanted, held), is_persistent=is_persistent
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

    async def _notify_keeper(self, placement: Placement) -> None:
        """Notify the node that keeps a silent device's subscriptions, if there is one."""
        if placement.served_by is None:
            return
        subscription, (transport, node) = placement.subscription, placement.served_by
        keeper = Presence(
            subscription.app_id, subscription.device_id, node, transport, connection_id=""
        )
        with suppress(DeviceNotConnected):
            await self._adopt(keeper, is_awaited=False)

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
