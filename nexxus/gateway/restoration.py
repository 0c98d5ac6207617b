"""Restoration: what this node serves is put back into a registry that has forgotten it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Final

from nexxus.gateway.connection import Connection
from nexxus.gateway.devices import DeviceTable, LocalDevice
from nexxus.gateway.resume import Cursors, DeliveryLog
from nexxus.gateway.resumption import announce_resync
from nexxus.interfaces.registry import Presence, Registry

_AT_ONCE: Final = 32
"""Devices that are put back at the same time: the registry has others to answer."""


class Restoration:
    """Compares every device of this node with the registry, and adds what is missing there.

    While a subscription was missing, no transport manager knew of it, and events went by. So its
    device reads its channels anew, by a resync.
    """

    def __init__(
        self,
        *,
        transport: str,
        node: str,
        registry: Registry,
        devices: DeviceTable,
        log: DeliveryLog,
        cursors: Cursors,
    ) -> None:
        self._transport = transport
        self._node = node
        self._registry = registry
        self._devices = devices
        self._log = log
        self._cursors = cursors

    async def restore(self) -> None:
        """Put everything back. What is there already stays as it is; may be called again."""
        devices = iter(self._devices.everybody())
        while some := list(islice(devices, _AT_ONCE)):
            await asyncio.gather(*map(self._put_back, some))

    async def _put_back(self, known: LocalDevice) -> None:
        async with self._devices.hold(known.app_id, known.device_id) as device:
            if device.is_vacant:
                return
            presence = await self._registry.presence_of(device.app_id, device.device_id)
            if presence is not None and not self._is_here(presence):
                return  # It has gone to another node, and its subscriptions with it.
            is_complete = await self._put_back_subscriptions(device)
            # The presence last: who finds it may rely on the subscriptions.
            if device.connection is not None:
                await self._registry.connect(self._presence(device, device.connection))
            if not is_complete:
                self._resync(device, list(device.subscriptions))

    async def _put_back_subscriptions(self, device: LocalDevice) -> bool:
        """Whether none was missing."""
        if device.is_foreign:
            return True  # They are another node's until the device has said that it resumes.
        found = {
            subscription.channel_id: subscription
            for subscription in await self._registry.subscriptions_of(
                device.app_id, device.device_id
            )
        }
        for channel, held in list(device.subscriptions.items()):
            # What is there may be newer than ours: a narrowing that is under way.
            subscription = found.get(channel, held.subscription)
            await self._registry.subscribe(subscription, self._transport, self._node)
        return found.keys() >= device.subscriptions.keys()

    def _resync(self, device: LocalDevice, channels: Sequence[str]) -> None:
        if device.is_live:
            announce_resync(device, list(channels), self._log, self._cursors)
        else:
            device.floor = self._log.advance()

    def _presence(self, device: LocalDevice, connection: Connection) -> Presence:
        return Presence(device.app_id, device.device_id, self._node, self._transport, connection.id)

    def _is_here(self, presence: Presence) -> bool:
        return (presence.transport, presence.node) == (self._transport, self._node)
