"""Which connection holds which device. In memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from nexxus.adapters.in_process.registry.devices import InProcessDevices
from nexxus.adapters.in_process.registry.pushes import InProcessPushes
from nexxus.adapters.in_process.registry.subscriptions import InProcessSubscriptions
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import LOOK_EVERY, Presence, PresenceStore


class InProcessPresence(PresenceStore):
    """Keeps `presences`: application → device → presence.

    `check_open` raises when the registry is closed.
    """

    def __init__(
        self,
        presences: dict[str, dict[str, Presence]],
        devices: InProcessDevices,
        subscriptions: InProcessSubscriptions,
        pushes: InProcessPushes,
        check_open: Callable[[], None],
    ) -> None:
        self._by_app = presences
        self._devices = devices
        self._subscriptions = subscriptions
        self._pushes = pushes
        self._check_open = check_open

    def __len__(self) -> int:
        return sum(map(len, self._by_app.values()))

    async def connect(self, presence: Presence) -> Presence | None:
        self._check_open()
        devices = self._by_app.setdefault(presence.app_id, {})
        former = devices.get(presence.device_id)
        devices[presence.device_id] = presence
        self._subscriptions.follow_presence(presence.app_id, presence.device_id)
        return former if former is not None and not _is_same(former, presence) else None

    async def disconnect(self, presence: Presence) -> None:
        self._check_open()
        app_id, device_id = presence.app_id, presence.device_id
        held = self._by_app.get(app_id, {}).get(device_id)
        if held is None or not _is_same(held, presence):
            return
        del self._by_app[app_id][device_id]
        if self._subscriptions.follow_presence(app_id, device_id):
            await self._pushes.schedule(app_id, device_id, LOOK_EVERY)
        # The time at which a device was last seen is not worth a failure.
        with suppress(ServiceUnavailable):
            await self._devices.note_seen(app_id, device_id)

    async def get(self, app_id: str, device_id: str) -> Presence | None:
        self._check_open()
        return self._by_app.get(app_id, {}).get(device_id)

    def retire(self, node_id: str) -> None:
        """Remove the presences of a node."""
        gone = [
            presence
            for devices in self._by_app.values()
            for presence in devices.values()
            if presence.node == node_id
        ]
        for presence in gone:
            del self._by_app[presence.app_id][presence.device_id]
            self._subscriptions.follow_presence(presence.app_id, presence.device_id)

    def drop(self, app_id: str) -> None:
        """Remove the presences of an application."""
        self._by_app.pop(app_id, None)


def _is_same(one: Presence, other: Presence) -> bool:
    return one.connection_id == other.connection_id and one.node == other.node
