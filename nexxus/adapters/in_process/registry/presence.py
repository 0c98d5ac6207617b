"""Which connection holds which device. In memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from nexxus.adapters.in_process.registry.devices import InProcessDevices
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import Presence, PresenceStore


class InProcessPresence(PresenceStore):
    """Application → device → presence. `check_open` raises when the registry is closed."""

    def __init__(self, devices: InProcessDevices, check_open: Callable[[], None]) -> None:
        self._devices = devices
        self._check_open = check_open
        self._by_app: dict[str, dict[str, Presence]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_app.values()))

    async def connect(self, presence: Presence) -> Presence | None:
        self._check_open()
        devices = self._by_app.setdefault(presence.app_id, {})
        former = devices.get(presence.device_id)
        devices[presence.device_id] = presence
        return former if former is not None and not _is_same(former, presence) else None

    async def disconnect(self, presence: Presence) -> None:
        self._check_open()
        devices = self._by_app.get(presence.app_id, {})
        held = devices.get(presence.device_id)
        if held is None or not _is_same(held, presence):
            return
        del devices[presence.device_id]
        # The time at which a device was last seen is not worth a failure.
        with suppress(ServiceUnavailable):
            await self._devices.note_seen(presence.app_id, presence.device_id)

    async def get(self, app_id: str, device_id: str) -> Presence | None:
        self._check_open()
        return self._by_app.get(app_id, {}).get(device_id)

    def retire(self, node_id: str) -> None:
        """Remove the presences of a node."""
        for app_id, devices in self._by_app.items():
            self._by_app[app_id] = {
                device_id: presence
                for device_id, presence in devices.items()
                if presence.node != node_id
            }

    def drop(self, app_id: str) -> None:
        """Remove the presences of an application."""
        self._by_app.pop(app_id, None)


def _is_same(one: Presence, other: Presence) -> bool:
    return one.connection_id == other.connection_id and one.node == other.node
