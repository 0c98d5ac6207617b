"""Restoration: what this node serves is put back into a registry that has forgotten it."""

from __future__ import annotations

from nexxus.gateway.devices import DeviceTable, LocalDevice
from nexxus.gateway.place import Place
from nexxus.gateway.resume import Cursors, DeliveryLog
from nexxus.gateway.resumption import announce_resync
from nexxus.interfaces.registry import Registry


class Restoration:
    """Compares every device of this node with the registry, and adds what is missing there.

    While a subscription was missing, no transport manager knew of it, and events went by. So its
    device reads its channels anew, by a resync.
    """

    def __init__(
        self,
        *,
        place: Place,
        registry: Registry,
        devices: DeviceTable,
        log: DeliveryLog,
        cursors: Cursors,
    ) -> None:
        self._place = place
        self._registry = registry
        self._devices = devices
        self._log = log
        self._cursors = cursors

    async def restore(self) -> None:
        """Put everything back. What is there already stays as it is; may be called again."""
        await self._devices.visit(self._put_back)

    async def _put_back(self, device: LocalDevice) -> None:
        presence = await self._registry.presence_of(device.app_id, device.device_id)
        if presence is not None and not self._place.has(presence):
            return  # It has gone to another node, and its subscriptions with it.
        is_complete = await self._put_back_subscriptions(device)
        # The presence last: who finds it may rely on the subscriptions.
        if device.connection is not None:
            await self._registry.connect(
                self._place.presence(device.app_id, device.device_id, device.connection)
            )
        if not is_complete:
            announce_resync(device, list(device.subscriptions), self._log, self._cursors)

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
            await self._registry.subscribe(subscription, self._place.transport, self._place.node)
        return found.keys() >= device.subscriptions.keys()
