"""Subscribing on a connection, whose device this node serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.domain.objects import Document
from nexxus.errors import DeviceNotConnected
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.gateway.seams import ClientActions
from nexxus.interfaces.registry import Registry


class Subscribing:
    """Makes and ends subscriptions of the devices that are connected here.

    Devices may be persistent if the server `can_push`.
    """

    def __init__(
        self, *, actions: ClientActions, residents: Residents, registry: Registry, can_push: bool
    ) -> None:
        self._actions = actions
        self._residents = residents
        self._registry = registry
        self._can_push = can_push

    async def subscribe(self, connection: Connection, caller: Any, data: Any) -> Document:
        """Handle a ``subscribe`` frame; return the ``data`` of the reply.

        Every transport manager knows the subscription before the first page is read. Raises the
        `WireError` that HTTP would answer with.
        """
        async with self._hold(connection) as device:
            # The device is held while this is judged, so that any later change of roles finds the
            # subscription here.
            opening = self._actions.open(caller, data)
            served = None
            if opening.subscription is not None:
                served = await self._serve(connection, device, opening.subscription)
        return await self._actions.first_page(opening, served)

    async def unsubscribe(self, connection: Connection, caller: Any, data: Any) -> Document:
        """Handle an ``unsubscribe`` frame; return the ``data`` of the reply."""
        async with self._hold(connection) as device:
            ended = self._actions.find(caller, data, device.served())
            channel = ended.channel_id
            await self._registry.subscriptions.remove(ended.app_id, ended.device_id, [channel])
            if channel in device.subscriptions:
                self._residents.remove(device, [channel])
        return {"channel": channel}

    @asynccontextmanager
    async def _hold(self, connection: Connection) -> AsyncIterator[Resident]:
        """Hold the connection's device; raises `DeviceNotConnected` if it has lost it."""
        known = connection.device
        if known is None:
            raise _lost()
        async with self._residents.hold(known.app_id, known.device_id) as device:
            if device.connection is not connection:
                raise _lost()
            yield device

    async def _serve(
        self, connection: Connection, device: Resident, wanted: Subscription
    ) -> Subscription:
        """Serve a subscription from now on, and record that in the registry."""
        is_persistent = await self._is_persistent(device)
        is_new = wanted.channel_id not in device.subscriptions
        subscription = msgspec.structs.replace(
            self._actions.admit(wanted, device.served()), is_persistent=is_persistent
        )
        if not await self._residents.serve_here(device, [subscription]):
            raise _lost()
        if device.connection is not connection:
            if is_new and not is_persistent:  # nobody would serve it
                await self._registry.subscriptions.remove(
                    device.app_id,
                    device.device_id,
                    [subscription.channel_id],
                    served_by=self._residents.place.key,
                )
            raise _lost()
        if await self._is_persistent(device) != is_persistent:  # it has changed meanwhile
            is_persistent = not is_persistent
            await self._registry.subscriptions.set_persistent(
                device.app_id, device.device_id, is_persistent
            )
            subscription = msgspec.structs.replace(subscription, is_persistent=is_persistent)
        self._residents.put(device, subscription)
        return subscription

    async def _is_persistent(self, device: Resident) -> bool:
        if not self._can_push:
            return False
        known = await self._registry.devices.get(device.app_id, device.device_id)
        return known is not None and known.push is not None


def _lost() -> DeviceNotConnected:
    return DeviceNotConnected(
        "the device's connection was lost; connect it, register, and subscribe again"
    )
