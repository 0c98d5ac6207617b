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
        """The form in which the registry names what serves a subscription."""
        return (self.transport, self.node)

    def presence(self, app_id: str, device_id: str, connection: Connection) -> Presence:
        """Return the presence of a device that a connection of this gateway holds."""
        return Presence(app_id, device_id, self.node, self.transport, connection.id)

    def has(self, presence: Presence) -> bool:
        """Return whether the connection that holds the device belongs to this gateway."""
        return (presence.transport, presence.node) == self.key
