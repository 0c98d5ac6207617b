"""Presence: which connection holds a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import msgspec


class Presence(msgspec.Struct, frozen=True):
    """The connection that holds a device, and the node and transport that serve it."""

    app_id: str
    device_id: str
    node: str
    transport: str
    connection_id: str


LOOK_EVERY: Final = 24 * 3600.0
"""Seconds until a device that has gone away is due, if there is nothing to push before."""


class PresenceStore(ABC):
    """A device is held by at most one connection, the one that connected last."""

    @abstractmethod
    async def connect(self, presence: Presence) -> Presence | None:
        """Give the device to this connection.

        Returns the presence that it replaces; None if the device had no other connection. Of
        concurrent calls, each replaces a different one. A persistent device is not away any more.
        """

    @abstractmethod
    async def disconnect(self, presence: Presence) -> None:
        """Release the device, unless another connection holds it by now.

        Sets the `last_seen` of a released device that is stored. If the device is persistent, it
        is away from now on, and scheduled in `PushStore` for a look within `LOOK_EVERY` seconds.
        """

    @abstractmethod
    async def get(self, app_id: str, device_id: str) -> Presence | None:
        """Return the connection that holds a device, or None."""
