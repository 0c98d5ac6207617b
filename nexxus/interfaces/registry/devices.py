"""Devices: the programs and browsers that sessions belong to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec


class PushAddress(msgspec.Struct, frozen=True, rename="camel"):
    """Where a device is reached while it has no connection: `address` is for the `service`."""

    service: str
    address: dict[str, Any]


class Device(msgspec.Struct, frozen=True, rename="camel"):
    """A device, without its connection and subscriptions. `last_seen` is in UNIX seconds.

    One with a `push` address is persistent: its subscriptions do not need a connection.
    """

    id: str
    app_id: str
    name: str
    user_id: str | None = None
    last_seen: int | None = None
    push: PushAddress | None = None


class DeviceStore(ABC):
    """The devices of every application."""

    @abstractmethod
    async def put(self, device: Device) -> None:
        """Store a device, replacing the one of that id."""

    @abstractmethod
    async def get(self, app_id: str, device_id: str) -> Device | None:
        """Return a device, or None if it is unknown."""

    @abstractmethod
    async def of_user(self, app_id: str, user_id: str) -> list[Device]:
        """Return a user's devices in the order in which they were first stored."""

    @abstractmethod
    async def delete(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Remove devices with their sessions and subscriptions. Unknown ids are ignored."""
