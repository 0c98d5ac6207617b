"""Reconciliation of what this node serves with what the registry says that it serves.

The two differ when another node creates, ends or narrows a subscription, when messages to this node
were lost, when the registry has lost data, and when a node died in the middle of a change. Events
may be missed until the difference is corrected, so clients then read the channels again
(``resync``).
"""

from __future__ import annotations

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.errors import DeviceNotConnected
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.interfaces.registry import Registry


class Reconciliation:
    """Compares residents with the registry, and corrects whichever is wrong."""

    def __init__(self, residents: Residents, registry: Registry) -> None:
        self._residents = residents
        self._place = residents.place
        self._registry = registry
        self._alive: set[str] = set()

    # This node follows the registry

    async def adopt(self, app_id: str, device_id: str, channel_id: str | None = None) -> None:
        """Serve the device's subscriptions as the registry has them, from now on.

        `channel_id` names the subscription that was just made, which stays even if the device does
        not resume; it is None for any other change. Raises `DeviceNotConnected` if the device has
        no connection here, after removing a subscription that no node would serve. Raises it also
        if that subscription has ended meanwhile, with others that the device did not resume.
        """
        async with self._residents.hold(app_id, device_id) as device:
            if not device.is_vacant:
                before = set(device.subscriptions)
                await self._follow_registry(device)
                if channel_id is None:
                    return
                made = device.subscriptions.get(channel_id)
                if device.connection is not None:
                    if made is None:
                        raise DeviceNotConnected("the subscription has ended; subscribe again")
                    made.is_kept = False
                    device.connection.expect_first_frame_soon()
                    return
                is_orphan = made is not None and not made.subscription.is_persistent
                orphans = [channel_id] if is_orphan and channel_id not in before else []
            else:
                found = await self._registry.subscriptions.of_device(app_id, device_id)
                orphans = [each.channel_id for each in found if not each.is_persistent]
            await self._end_orphans(device, orphans)
        raise DeviceNotConnected(
            "the device's connection was lost; connect it, register, and subscribe again"
        )

    async def serve(self, subscription: Subscription) -> None:
        """Serve a changed subscription, if it has not ended and this node still has the device."""
        async with self._residents.hold(subscription.app_id, subscription.device_id) as device:
            if device.is_vacant:
                return
            held = await self._registry.subscriptions.of_device(device.app_id, device.device_id)
            if all(each.channel_id != subscription.channel_id for each in held):
                return
            if await self._residents.serve_here(device, [subscription]):
                await self._follow_registry(device)

    def resync_everybody(self) -> None:
        """Have every device read all its channels again."""
        for device in self._residents.everybody():
            self._residents.resync(device, list(device.subscriptions))

    async def adopt_what_was_missed(self) -> None:
        """Update every device from the registry; it reads the channels that it gains again."""
        await self._residents.visit(self._catch_up)

    async def _catch_up(self, device: Resident) -> None:
        before = set(device.subscriptions)
        await self._follow_registry(device)
        gained = [channel for channel in device.subscriptions if channel not in before]
        if gained:
            self._residents.resync(device, gained)

    async def _follow_registry(self, device: Resident) -> None:
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
        self._residents.remove(device, ended)
        for channel, subscription in present.items():
            held = device.subscriptions.get(channel)
            if held is None:
                is_kept = device.connection is None
                self._residents.install(device, subscription, is_kept=is_kept)
            elif _with_persistence_of(held.subscription, subscription) == subscription:
                held.subscription = subscription
            elif held.subscription != subscription and not _is_behind(
                subscription, held.subscription
            ):
                self._residents.replace(device, subscription)

    async def _bring_back(self, device: Resident, astray: list[Subscription]) -> bool:
        """Serve here what the registry says that another node serves; False if the device has gone.

        The other node wrote late, not knowing that the device had moved. Until this is corrected
        events go there, so the channels that are served here are read again.
        """
        holder = await self._registry.presence.get(device.app_id, device.device_id)
        if holder is None:
            return True  # `restore` puts everything back.
        if not self._place.has(holder):
            self._residents.let_go(device)
            return False
        if not await self._residents.serve_here(device, astray):
            return False
        missed = [each.channel_id for each in astray if each.channel_id in device.subscriptions]
        if missed:
            self._residents.resync(device, missed)
        return True

    async def _is_forgotten(self, device: Resident) -> bool:
        """Return whether the registry has lost the device's data, which `restore` will put back."""
        if device.connection is None:
            return False
        return await self._registry.presence.get(device.app_id, device.device_id) is None

    async def _end_orphans(self, device: Resident, channels: list[str]) -> None:
        """Remove subscriptions that came too late for a connection, unless it is on another
        node."""
        presence = await self._registry.presence.get(device.app_id, device.device_id)
        if channels and (presence is None or self._place.has(presence)):
            await self._registry.subscriptions.remove(device.app_id, device.device_id, channels)
            self._residents.remove(device, [c for c in channels if c in device.subscriptions])

    # The registry follows this node

    async def restore(self) -> None:
        """Put everything back that the registry has lost. May be called again."""
        self._alive = {node.id for node in await self._registry.nodes.alive()}
        await self._residents.visit(self._put_back)

    async def _put_back(self, device: Resident) -> None:
        holder = await self._registry.presence.get(device.app_id, device.device_id)
        is_ours = holder is not None and self._place.has(holder)
        if holder is not None and not is_ours and holder.node in self._alive:
            return  # The device and its subscriptions have moved to another node.
        wrong = await self._misplaced(device)
        dead = None if is_ours else holder
        if wrong and not await self._residents.serve_here(device, wrong, dead=dead):
            return
        # The presence comes last: a node that finds it may rely on the subscriptions.
        if not is_ours and not await self._hold(device):
            return
        if wrong:
            channels = [subscription.channel_id for subscription in wrong]
            self._residents.resync(device, channels)

    async def _misplaced(self, device: Resident) -> list[Subscription]:
        """Return the subscriptions that this node serves although the registry says otherwise.

        For a silent device these are only subscriptions that no node serves: the others may be on
        the node to which it has moved.
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
                # The registry's may be newer than ours, because of a narrowing under way.
                wrong.append(placement.subscription)
        return wrong

    async def _hold(self, device: Resident) -> bool:
        """Claim the device for its connection again; False if another node was faster."""
        if device.connection is None:
            return True
        presence = self._place.presence(device.app_id, device.device_id, device.connection)
        former = await self._registry.presence.connect(presence)
        if former is None or self._place.has(former) or former.node not in self._alive:
            return True
        await self._registry.presence.connect(former)
        self._residents.let_go(device)
        return False


def _with_persistence_of(held: Subscription, known: Subscription) -> Subscription:
    """Return the held subscription with the registry's `is_persistent`."""
    return msgspec.structs.replace(held, is_persistent=known.is_persistent)


def _is_behind(known: Subscription, held: Subscription) -> bool:
    """Return whether the registry does not know yet that the subscription leaves its route."""
    return held.narrowing_from == known.route
