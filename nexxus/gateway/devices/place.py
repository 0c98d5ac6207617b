"""The place of a gateway: a transport on a node, as the registry and the queues know it."""

from __future__ import annotations

import msgspec

from nexxus.gateway.connections.connection import Connection
from nexxus.interfaces.registry import Presence


class Place(msgspec.Struct, frozen=True):
    """A transport and a node."""

    transport: str
    node: str

    @property
    def key(self) -> tuple[str, str]:
        """As the registry names who serves a subscription."""
        return (self.transport, self.node)

    def presence(self, app_id: str, device_id: str, connection: Connection) -> Presence:
        """What the registry is told when a connection here holds a device."""
        return Presence(app_id, device_id, self.node, self.transport, connection.id)

    def has(self, presence: Presence) -> bool:
        """Whether the connection that holds the device is here."""
        return (presence.transport, presence.node) == self.key
