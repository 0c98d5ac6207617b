"""Adoption: subscriptions that were made, ended or narrowed elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.errors import DeviceNotConnected
from nexxus.gateway.delivery.audiences import Audiences
from nexxus.gateway.delivery.cursors import Cursors
from nexxus.gateway.delivery.delivery_log import DeliveryLog
from nexxus.gateway.delivery.frames import identify
from nexxus.gateway.devices.place import Place
from nexxus.gateway.devices.placing import Placing
from nexxus.gateway.devices.residents import DeviceTable, LocalDevice
from nexxus.gateway.devices.resuming import announce_resync
from nexxus.interfaces.registry import Registry


class Adoption:
    """Brings a device's subscriptions here in line with the registry's."""

    def __init__(
        self,
        *,
        place: Place,
        registry: Registry,
        placing: Placing,
        devices: DeviceTable,
        routes: Audiences,
        log: DeliveryLog,
        cursors: Cursors,
    ) -> None:
        self._place = place
        self._registry = registry
        self._placing = placing
        self._devices = devices
        self._routes = routes
        self._log = log
        self._cursors = cursors

    async def adopt(self, app_id: str, device_id: str, channel_id: str | None) -> None:
        """Serve the device's subscriptions as the registry has them: events come from now on.

        `channel_id` is the one that was just made, None where it was another change: it stays
        even if the device does not resume. Raises `DeviceNotConnected` when the device has no
        connection here; a subscription that nobody would serve is then removed.
        """
        async with self._devices.hold(app_id, device_id) as device:
            if not device.is_vacant:
                before = set(device.subscriptions)
                await self._follow_registry(device)
                if device.connection is not None:
                    if channel_id in device.subscriptions:
                        device.subscriptions[channel_id].is_kept = False
                        device.connection.expect_first_frame_soon()
                    return
                if channel_id is None:
                    return
                made = device.subscriptions.get(channel_id)
                is_orphan = made is not None and not made.subscription.is_persistent
                orphans = [channel_id] if is_orphan and channel_id not in before else []
            else:
                found = await self._registry.subscriptions.of_device(app_id, device_id)
                orphans = [each.channel_id for each in found if not each.is_persistent]
            await self._end_orphans(device, orphans)
        raise DeviceNotConnected(
            "the device's connection was lost; connect it, register, and subscribe again"
        )

    def withhold(self, subscription: Subscription) -> None:
        """Serve a subscription by its new route before the registry knows of that.

        From now on what is for its former route alone is denied to the device.
        """
        device = self._devices.find(subscription.app_id, subscription.device_id)
        held = None if device is None else device.subscriptions.get(subscription.channel_id)
        if device is not None and held is not None and held.subscription != subscription:
            self._devices.replace(device, subscription)

    async def serve(self, subscription: Subscription) -> None:
        """Serve a changed subscription, if it has not ended and its device is still one of here."""
        async with self._devices.hold(subscription.app_id, subscription.device_id) as device:
            if device.is_vacant:
                return
            held = await self._registry.subscriptions.of_device(device.app_id, device.device_id)
            if all(each.channel_id != subscription.channel_id for each in held):
                return
            if await self._placing.serve_here(device, [subscription]):
                await self._follow_registry(device)

    def send_denied(
        self, app_id: str, device_id: str, channel_id: str, objects: list[dict[str, Any]]
    ) -> None:
        """Take objects out of a channel of a device that may not see them any more.

        Each of `objects` has ``id type appId userId? version``. One that the channel's present
        route has shown since the narrowing began is left alone: it is permitted.
        """
        device = self._devices.find(app_id, device_id)
        held = None if device is None else device.subscriptions.get(channel_id)
        if device is None or held is None:
            return
        seq = device.floor = self._log.advance()
        connection = device.connection
        if connection is None or not device.is_live:
            return  # It is told by a resync, should it resume.
        cursor = self._cursors.write(seq)
        metadata = {"channels": [channel_id], "cursor": cursor}
        for item in objects:
            if self._routes.has_shown(connection, held.subscription.route.key, item["id"]):
                continue
            model = identify(
                item["id"], item["type"], item["appId"], item.get("userId"), item.get("version")
            )
            event = "model_deleted"
            data = {"event": event, "model": model, "reason": "denied", "metadata": metadata}
            connection.send(event, data, cursor=cursor, channels=[channel_id])

    def send_resync(self, app_id: str, device_id: str, channels: list[str]) -> None:
        """Have a device read channels anew, such as where it may see more than before."""
        device = self._devices.find(app_id, device_id)
        if device is not None:
            announce_resync(device, channels, self._log, self._cursors)

    def resync_everybody(self) -> None:
        """Have every device read all its channels anew."""
        for device in self._devices.everybody():
            announce_resync(device, list(device.subscriptions), self._log, self._cursors)

    async def adopt_what_was_missed(self) -> None:
        """Bring every device in line with the registry; the channels it gains are read anew."""
        await self._devices.visit(self._catch_up)

    async def _catch_up(self, device: LocalDevice) -> None:
        before = set(device.subscriptions)
        await self._follow_registry(device)
        gained = [channel for channel in device.subscriptions if channel not in before]
        if gained:
            announce_resync(device, gained, self._log, self._cursors)

    async def _follow_registry(self, device: LocalDevice) -> None:
        placements = await self._registry.subscriptions.placements(device.app_id, device.device_id)
        present = {each.subscription.channel_id: each.subscription for each in placements}
        astray = [each.subscription for each in placements if each.served_by != self._place.key]
        if astray and device.is_live:
            if not await self._bring_back(device, astray):
                return
        elif astray and device.connection is not None:
            device.is_foreign = True  # They are moved here as soon as the device has chosen.
        ended = [channel for channel in device.subscriptions if channel not in present]
        if ended and await self._is_forgotten(device):
            ended = []
        self._devices.remove(device, ended)
        for channel, subscription in present.items():
            held = device.subscriptions.get(channel)
            if held is None:
                is_kept = device.connection is None
                self._devices.install(device, subscription, is_kept=is_kept)
            elif _with_persistence_of(held.subscription, subscription) == subscription:
                held.subscription = subscription
            elif held.subscription != subscription and not _is_behind(
                subscription, held.subscription
            ):
                self._devices.replace(device, subscription)

    async def _bring_back(self, device: LocalDevice, astray: list[Subscription]) -> bool:
        """Serve here what the registry says that another node serves; False if the device has gone.

        That node wrote late, not knowing that the device had come here. While it counted as the
        server, events went there: channels that were served here are read anew.
        """
        holder = await self._registry.presence.get(device.app_id, device.device_id)
        if holder is None:
            return True  # `Restoration` puts everything back.
        if not self._place.has(holder):
            self._placing.let_go(device)
            return False
        if not await self._placing.serve_here(device, astray):
            return False
        missed = [each.channel_id for each in astray if each.channel_id in device.subscriptions]
        if missed:
            announce_resync(device, missed, self._log, self._cursors)
        return True

    async def _is_forgotten(self, device: LocalDevice) -> bool:
        """Whether the registry has lost what it knew, which `Restoration` will put back."""
        if device.connection is None:
            return False
        return await self._registry.presence.get(device.app_id, device.device_id) is None

    async def _end_orphans(self, device: LocalDevice, channels: list[str]) -> None:
        """Remove subscriptions that came too late for a connection, unless others have it."""
        presence = await self._registry.presence.get(device.app_id, device.device_id)
        if channels and (presence is None or self._place.has(presence)):
            await self._registry.subscriptions.remove(device.app_id, device.device_id, channels)
            self._devices.remove(device, [c for c in channels if c in device.subscriptions])


def _with_persistence_of(held: Subscription, known: Subscription) -> Subscription:
    """The subscription as it is held, persistent or not as the registry says."""
    return msgspec.structs.replace(held, is_persistent=known.is_persistent)


def _is_behind(known: Subscription, held: Subscription) -> bool:
    """Whether the registry has yet to hear that the subscription leaves the route that it knows."""
    return held.narrowing_from == known.route
