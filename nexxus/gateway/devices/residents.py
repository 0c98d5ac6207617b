"""The residents: the devices that this node serves, and how two nodes agree which one serves a
device.

A node may learn late that its client has moved to another node, because a connection is half open
or because the broker or the registry is slow. It may then write to the registry after the other
node did. Two rules keep the registry correct, as in Dekker's mutual exclusion. A node that takes a
device over first writes its presence, and then reads which node serves the subscriptions. A node
that writes that it serves a subscription then reads the presence. If two nodes overlap, at least
one of them sees what the other wrote: either the node that takes over moves the subscription to
itself, or the node that wrote late notifies it and releases the device.

See T. Dekker's algorithm in E. W. Dijkstra, "Cooperating sequential processes" (1965).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

import msgspec

from nexxus.cluster.messages import SubscriptionChanged
from nexxus.domain.channels import Subscription
from nexxus.gateway.delivery.audiences import Audiences
from nexxus.gateway.delivery.delivery_log import DeliveryLog
from nexxus.gateway.devices.notices import Notices
from nexxus.gateway.devices.place import Place
from nexxus.gateway.devices.resident import (
    NOT_LIVE,
    DeviceView,
    HeldSubscription,
    Resident,
    SilenceOwner,
)
from nexxus.interfaces.registry import Presence, Registry
from nexxus.interfaces.transport import CloseCode

_VISITED_AT_ONCE: Final = 32


class Residents:
    """The residents of one gateway. Changes also update the `Audiences` and the `DeliveryLog`.

    `place` is the gateway, which the registry names as what serves their subscriptions.
    """

    def __init__(
        self,
        place: Place,
        *,
        audiences: Audiences,
        log: DeliveryLog,
        registry: Registry,
        notices: Notices,
        owner: SilenceOwner,
    ) -> None:
        self.place = place
        self.log = log
        self._audiences = audiences
        self._registry = registry
        self._notices = notices
        self._owner = owner
        self._devices: dict[tuple[str, str], Resident] = {}

    def find(self, app_id: str, device_id: str) -> Resident | None:
        """Return the device, or None if this node does not know it."""
        return self._devices.get((app_id, device_id))

    def views(self, app_id: str) -> Iterator[DeviceView]:
        """Every device of an application."""
        for device in list(self._devices.values()):
            if device.app_id == app_id:
                held = tuple(device.served())
                yield DeviceView(
                    device.app_id,
                    device.device_id,
                    device.claims,
                    held,
                    is_connected=device.connection is not None,
                    is_live=device.is_live,
                )

    def everybody(self) -> list[Resident]:
        """Every device that this node knows now."""
        return list(self._devices.values())

    async def visit(self, act: Callable[[Resident], Awaitable[None]]) -> None:
        """Await `act` for every device that this node knows now, with the device held.

        Only some run at a time, to limit the load on the registry. Raises the first error of `act`.
        """

        async def visit_one(known: Resident) -> None:
            async with self.hold(known.app_id, known.device_id) as device:
                if not device.is_vacant:
                    await act(device)

        devices = iter(self.everybody())
        while some := list(islice(devices, _VISITED_AT_ONCE)):
            await asyncio.gather(*map(visit_one, some))

    @asynccontextmanager
    async def hold(self, app_id: str, device_id: str) -> AsyncIterator[Resident]:
        """Lock the device while the block runs. A device that is then vacant is forgotten."""
        device = self._devices.get((app_id, device_id))
        if device is None:
            device = Resident(app_id, device_id, self._owner)
            self._devices[app_id, device_id] = device
        device.holders += 1
        try:
            async with device.lock:
                yield device
        finally:
            device.holders -= 1
            if device.is_vacant and not device.holders:
                self.remove(device, list(device.subscriptions))
                del self._devices[app_id, device_id]

    def install(self, device: Resident, subscription: Subscription, *, is_kept: bool) -> None:
        """Serve a subscription from now on: send its events, or remember them if not live."""
        held = HeldSubscription(subscription, self.log.seq, is_kept=is_kept)
        for key in held.routing_keys():
            self.log.hold(key)
        device.subscriptions[subscription.channel_id] = held
        if device.is_live and device.connection is not None:
            self._audiences.add(device.connection, subscription, self.log.seq)

    def put(self, device: Resident, subscription: Subscription) -> None:
        """Serve a subscription that a connected device has just made, or made again."""
        held = device.subscriptions.get(subscription.channel_id)
        if held is None:
            self.install(device, subscription, is_kept=False)
            return
        held.is_kept = False
        same = msgspec.structs.replace(held.subscription, is_persistent=subscription.is_persistent)
        if same == subscription:
            held.subscription = subscription
        else:
            self.replace(device, subscription)

    def replace(self, device: Resident, subscription: Subscription) -> None:
        """Serve a channel by other routes. Earlier events cannot be resumed afterwards."""
        held = device.subscriptions[subscription.channel_id]
        former_keys = held.routing_keys()
        if device.is_live and device.connection is not None:
            self._audiences.remove(device.connection, held.subscription)
            self._audiences.add(device.connection, subscription, self.log.seq)
        held.subscription = subscription
        for key in held.routing_keys():
            self.log.hold(key)
        for key in former_keys:
            self.log.release(key)
        device.floor = self.log.advance()

    def remove(self, device: Resident, channels: list[str]) -> None:
        """Stop serving these channels."""
        for channel in channels:
            held = device.subscriptions.pop(channel)
            if device.is_live and device.connection is not None:
                self._audiences.remove(device.connection, held.subscription)
            for key in held.routing_keys():
                self.log.release(key)

    def go_live(self, device: Resident) -> None:
        """Send events to the connection from now on. Kept subscriptions become normal ones."""
        if device.is_live or device.connection is None:
            return
        device.is_live = True
        device.is_foreign = False
        for held in device.subscriptions.values():
            held.is_kept = False
            self._audiences.add(device.connection, held.subscription, self.log.seq)

    def withdraw(self, device: Resident) -> None:
        """Separate the device from its connection; its subscriptions are kept from now on."""
        connection = device.connection
        if connection is None:
            return
        if device.is_live:
            for held in device.subscriptions.values():
                self._audiences.remove(connection, held.subscription)
        for held in device.subscriptions.values():
            held.is_kept = True
        device.left_at = NOT_LIVE
        if device.is_live:
            certain = connection.certain_until if device.is_persistent else None
            device.left_at = self.log.seq if certain is None else self.log.seq_at(certain)
        device.is_live = False
        device.is_resumable = True
        device.connection = None
        connection.device = None

    # Which node serves them

    async def serve_here(
        self,
        device: Resident,
        subscriptions: Iterable[Subscription],
        *,
        dead: Presence | None = None,
    ) -> bool:
        """Record in the registry that this node serves these. Returns whether it holds the device.

        If it does not, it releases the device, and the node that holds the device serves them. A
        presence that is known to be `dead` is ignored.
        """
        for subscription in subscriptions:
            await self._registry.subscriptions.put(subscription, *self.place.key)
        holder = await self._registry.presence.get(device.app_id, device.device_id)
        if holder is None or holder == dead or self.place.has(holder):
            return True
        self._notices.send(holder, SubscriptionChanged(device.app_id, device.device_id))
        self.let_go(device)
        return False

    async def serve_all_here(self, device: Resident) -> bool:
        """Call `serve_here` with all subscriptions that a device has here."""
        return await self.serve_here(device, device.served())

    def let_go(self, device: Resident) -> None:
        """Stop serving the device, because another node holds it and its subscriptions."""
        connection = device.connection
        self.withdraw(device)
        self.remove(device, list(device.subscriptions))
        device.silent_until = None
        if connection is not None:
            connection.close(CloseCode.REPLACED, "replaced")

    # What devices must not miss

    def resync(self, device: Resident, channels: list[str]) -> None:
        """Have a device read channels again, now or, if it is not live, when it resumes."""
        cursor = self.log.cursors.write(self.log.seq + 1)
        self.notify(device, "resync", {"channels": channels, "cursor": cursor}, channels)

    def notify(
        self, device: Resident, event: str, data: dict[str, Any], channels: list[str]
    ) -> None:
        """Send a device a frame that no resume may leave out.

        A client that misses it must not resume from before it, so the floor is raised: a device
        that is not live gets a resync when it resumes.
        """
        device.floor = self.log.advance()
        if device.is_live and device.connection is not None:
            cursor = self.log.cursors.write(device.floor)
            device.connection.send(event, data, cursor=cursor, channels=channels)
