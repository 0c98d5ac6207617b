"""Placing: which node serves a device's subscriptions, when two take the device for their own.

A node may learn late that its client has gone to another one: the connection is half open, the
broker or the registry slow. So what it does for the device may come after what the other one did.
Two rules keep the registry right, as in Dekker's mutual exclusion. A node that takes a device
over writes its presence first, and reads afterwards who serves the subscriptions. Whoever writes
that a node serves one reads the presence afterwards. Of two that overlap, at least one sees what
the other wrote: either the node that takes over moves the subscription to itself, or the one that
wrote late notifies it, and lets go of the device.

See T. Dekker's algorithm in E. W. Dijkstra, "Cooperating sequential processes" (1965).
"""

from __future__ import annotations

from collections.abc import Iterable

from nexxus.cluster.messages import SubscriptionChanged
from nexxus.domain.channels import Subscription
from nexxus.gateway.devices.notices import Notices
from nexxus.gateway.devices.place import Place
from nexxus.gateway.devices.residents import DeviceTable, LocalDevice
from nexxus.interfaces.registry import Presence, Registry
from nexxus.interfaces.transport import CloseCode


class Placing:
    """Places the subscriptions of this node's devices here. The devices are held meanwhile."""

    def __init__(
        self, *, place: Place, registry: Registry, devices: DeviceTable, notices: Notices
    ) -> None:
        self._place = place
        self._registry = registry
        self._devices = devices
        self._notices = notices

    async def serve_here(
        self,
        device: LocalDevice,
        subscriptions: Iterable[Subscription],
        *,
        dead: Presence | None = None,
    ) -> bool:
        """Have the registry say that this node serves these; whether the device is still its own.

        If it is not, this node lets go of it, and the one that holds it serves them. A holder that
        is known to be `dead` does not count.
        """
        for subscription in subscriptions:
            await self._registry.subscriptions.put(subscription, *self._place.key)
        holder = await self._registry.presence.get(device.app_id, device.device_id)
        if holder is None or holder == dead or self._place.has(holder):
            return True
        self._notices.send(holder, SubscriptionChanged(device.app_id, device.device_id))
        self.let_go(device)
        return False

    def let_go(self, device: LocalDevice) -> None:
        """Serve the device no more: another node holds it, and what it had here is that one's."""
        connection = device.connection
        self._devices.withdraw(device)
        self._devices.remove(device, list(device.subscriptions))
        device.silent_until = None
        if connection is not None:
            connection.close(CloseCode.REPLACED, "replaced")
