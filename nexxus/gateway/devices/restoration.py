"""Restoration: what this node serves is put back into a registry that does not say so."""

from __future__ import annotations

from nexxus.domain.channels import Subscription
from nexxus.gateway.delivery.cursors import Cursors
from nexxus.gateway.delivery.delivery_log import DeliveryLog
from nexxus.gateway.devices.place import Place
from nexxus.gateway.devices.placing import Placing
from nexxus.gateway.devices.residents import DeviceTable, LocalDevice
from nexxus.gateway.devices.resuming import announce_resync
from nexxus.interfaces.registry import Registry


class Restoration:
    """Compares every device of this node with the registry, and puts right what is wrong there.

    The registry may have lost data; and a node that died in the middle of something may have left
    a subscription with itself. Until that is put right, events go by. So the channel is read
    anew, by a resync.
    """

    def __init__(
        self,
        *,
        place: Place,
        registry: Registry,
        placing: Placing,
        devices: DeviceTable,
        log: DeliveryLog,
        cursors: Cursors,
    ) -> None:
        self._place = place
        self._registry = registry
        self._placing = placing
        self._devices = devices
        self._log = log
        self._cursors = cursors
        self._alive: set[str] = set()

    async def restore(self) -> None:
        """Put everything back. What is right already stays as it is; may be called again."""
        self._alive = {node.id for node in await self._registry.nodes.alive()}
        await self._devices.visit(self._put_back)

    async def _put_back(self, device: LocalDevice) -> None:
        holder = await self._registry.presence.get(device.app_id, device.device_id)
        is_ours = holder is not None and self._place.has(holder)
        if holder is not None and not is_ours and holder.node in self._alive:
            return  # It has gone to another node, and its subscriptions with it.
        wrong = await self._misplaced(device)
        dead = None if is_ours else holder
        if wrong and not await self._placing.serve_here(device, wrong, dead=dead):
            return
        # The presence last: who finds it may rely on the subscriptions.
        if not is_ours and not await self._hold(device):
            return
        if wrong:
            channels = [subscription.channel_id for subscription in wrong]
            announce_resync(device, channels, self._log, self._cursors)

    async def _misplaced(self, device: LocalDevice) -> list[Subscription]:
        """The subscriptions that this node serves and the registry does not know to be here.

        Of a silent device only those that are nowhere: others may be where it has gone.
        """
        if device.is_foreign:
            return []  # They are another node's until the device has said that it resumes.
        found = {
            placement.subscription.channel_id: placement
            for placement in await self._registry.subscriptions.placements(
                device.app_id, device.device_id
            )
        }
        wrong = []
        for channel, held in device.subscriptions.items():
            placement = found.get(channel)
            if placement is None:
                wrong.append(held.subscription)
            elif placement.served_by != self._place.key and device.connection is not None:
                # What is there may be newer than ours: a narrowing that is under way.
                wrong.append(placement.subscription)
        return wrong

    async def _hold(self, device: LocalDevice) -> bool:
        """Claim the device for its connection again; False if another node was faster."""
        if device.connection is None:
            return True
        presence = self._place.presence(device.app_id, device.device_id, device.connection)
        former = await self._registry.presence.connect(presence)
        if former is None or self._place.has(former) or former.node not in self._alive:
            return True
        await self._registry.presence.connect(former)
        self._placing.let_go(device)
        return False
