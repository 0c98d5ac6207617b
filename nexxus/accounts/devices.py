"""Devices: what a user, or an application without users, connects with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from nexxus.cluster.messages import SubscriptionChanged, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.application import Application
from nexxus.domain.identity import Identity
from nexxus.domain.objects import new_id
from nexxus.errors import InvalidParameters, NotFound
from nexxus.interfaces.push_service import PushService
from nexxus.interfaces.registry import LOOK_EVERY, Device, Presence, PushAddress, Registry

MAX_NAME = 256


class DeviceDescription(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A device and the state of its connection. `lastSeen` is an ISO 8601 time."""

    id: str
    app_id: str
    name: str
    user_id: str | UnsetType = UNSET
    type: Literal["volatile", "persistent", "unknown"]
    status: Literal["online", "offline", "unknown"]
    transport: str | None
    last_seen: str | UnsetType = UNSET
    subscriptions: list[str]


class Devices:
    """Makes, changes and describes devices.

    `push_services` are those that may be chosen. `clock` returns UNIX seconds.
    """

    def __init__(
        self,
        registry: Registry,
        peers: Peers,
        push_services: Mapping[str, PushService],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._peers = peers
        self._push_services = push_services
        self._clock = clock

    async def register(self, application: Application, name: Any, user_id: str | None) -> Device:
        """Make a new device."""
        device = Device(
            id=new_id(),
            app_id=application.id,
            name=check_name(name),
            user_id=user_id,
            last_seen=int(self._clock()),
        )
        await self._registry.devices.put(device)
        return device

    async def for_sign_in(
        self, application: Application, user_id: str, device_id: str | None, name: str | None
    ) -> Device:
        """Return the user's device of that id, or a new one if the user has no such device."""
        if device_id is not None:
            device = await self._registry.devices.get(application.id, device_id)
            if device is not None and device.user_id == user_id:
                device = msgspec.structs.replace(
                    device,
                    name=device.name if name is None else check_name(name),
                    last_seen=int(self._clock()),
                )
                await self._registry.devices.put(device)
                return device
        return await self.register(application, "device" if name is None else name, user_id)

    async def get(self, identity: Identity) -> DeviceDescription:
        """Return the calling device."""
        return await self._describe(await self._own(identity))

    async def rename(self, identity: Identity, name: Any) -> None:
        """Give the calling device another name."""
        device = msgspec.structs.replace(await self._own(identity), name=check_name(name))
        await self._registry.devices.put(device)

    async def set_push(self, identity: Identity, push: dict[str, Any] | None) -> None:
        """Make the calling device persistent, reached through a push service; None: volatile.

        Raises `InvalidParameters` for a service that is not installed, or an address that it does
        not accept.
        """
        address = None if push is None else self._read_address(push)
        device = msgspec.structs.replace(await self._own(identity), push=address)
        await self._registry.devices.put(device)
        await self._registry.subscriptions.set_persistent(
            device.app_id, device.id, address is not None
        )
        if address is not None:
            await self._registry.pushes.schedule(device.app_id, device.id, LOOK_EVERY)
        presence = await self._registry.presence.get(device.app_id, device.id)
        if presence is not None:  # its gateway must learn what becomes of the subscriptions
            await self._peers.send(
                gateway_mailbox(presence.transport, presence.node),
                SubscriptionChanged(device.app_id, device.id),
            )

    def public_key(self) -> str:
        """Return the key with which browsers subscribe to pushes, or raise `NotFound`."""
        keys = [service.public_key for service in self._push_services.values()]
        for key in keys:
            if key is not None:
                return key
        raise NotFound("no push service of this server has a public key")

    def _read_address(self, push: dict[str, Any]) -> PushAddress:
        name = push.get("service")
        service = self._push_services.get(name) if isinstance(name, str) else None
        if service is None or not isinstance(name, str):
            installed = ", ".join(sorted(self._push_services)) or "none"
            raise InvalidParameters(
                f"push.service: expected one of the installed push services ({installed})",
                {"field": "push.service"},
            )
        address = {key: value for key, value in push.items() if key != "service"}
        return PushAddress(name, service.check_address(address))

    async def list(self, identity: Identity) -> list[DeviceDescription]:
        """Return the user's devices; without users only the calling one."""
        if identity.user_id is None:
            return [await self.get(identity)]
        devices = await self._registry.devices.of_user(identity.app_id, identity.user_id)
        return [await self._describe(device) for device in devices]

    async def _own(self, identity: Identity) -> Device:
        device = await self._registry.devices.get(identity.app_id, identity.device())
        if device is None:
            raise NotFound("the device of this token does not exist any more; sign in again")
        return device

    async def _describe(self, device: Device) -> DeviceDescription:
        presence = await self._registry.presence.get(device.app_id, device.id)
        subscriptions = await self._registry.subscriptions.of_device(device.app_id, device.id)
        last_seen = device.last_seen if presence is None else int(self._clock())
        return DeviceDescription(
            id=device.id,
            app_id=device.app_id,
            name=device.name,
            user_id=UNSET if device.user_id is None else device.user_id,
            type=_type_of(device, presence),
            status="offline" if presence is None else "online",
            transport=None if presence is None else presence.transport,
            last_seen=UNSET if last_seen is None else _as_text(last_seen),
            subscriptions=[subscription.channel_id for subscription in subscriptions],
        )


def _as_text(moment: float) -> str:
    """A time as ISO 8601, in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _type_of(
    device: Device, presence: Presence | None
) -> Literal["volatile", "persistent", "unknown"]:
    if device.push is not None:
        return "persistent"
    return "unknown" if presence is None else "volatile"


def check_name(name: Any) -> str:
    """Return `name` if a device may have it, else raise `InvalidParameters`."""
    if isinstance(name, str) and 0 < len(name) <= MAX_NAME:
        return name
    raise InvalidParameters(
        f"name: expected a string of 1 to {MAX_NAME} characters", {"field": "name"}
    )
