"""Which nodes are alive, and which connection holds which device. In memory."""

from __future__ import annotations

from collections.abc import Callable

from nexxus.interfaces.registry import Node, Presence


class Nodes:
    """The nodes that announced themselves. `clock` tells UNIX seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._nodes: dict[str, tuple[Node, float]] = {}

    def announce(self, node: Node, lifetime: float) -> bool:
        """The node is alive for that many seconds more; whether it was known."""
        is_known = node.id in self._nodes
        self._nodes[node.id] = (node, self._clock() + lifetime)
        return is_known

    def retire(self, node_id: str) -> None:
        """Forget a node."""
        self._nodes.pop(node_id, None)

    def alive(self) -> list[Node]:
        """The nodes whose lifetime runs."""
        now = self._clock()
        return [node for node, ends_at in self._nodes.values() if ends_at > now]

    def dead(self) -> list[str]:
        """The ids of those whose lifetime has run out."""
        now = self._clock()
        return [node.id for node, ends_at in self._nodes.values() if ends_at <= now]


class Presences:
    """Application → device → the connection that holds it."""

    def __init__(self) -> None:
        self._by_app: dict[str, dict[str, Presence]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_app.values()))

    def connect(self, presence: Presence) -> Presence | None:
        """The device is held by this connection now; another that held it before."""
        devices = self._by_app.setdefault(presence.app_id, {})
        former = devices.get(presence.device_id)
        devices[presence.device_id] = presence
        return former if former is not None and not _is_same(former, presence) else None

    def disconnect(self, presence: Presence) -> bool:
        """Forget the connection, if it is the one that holds the device; whether it was."""
        devices = self._by_app.get(presence.app_id, {})
        held = devices.get(presence.device_id)
        if held is not None and _is_same(held, presence):
            del devices[presence.device_id]
            return True
        return False

    def get(self, app_id: str, device_id: str) -> Presence | None:
        """Which connection holds a device."""
        return self._by_app.get(app_id, {}).get(device_id)

    def retire(self, node_id: str) -> None:
        """Forget the connections of a node."""
        for app_id, devices in self._by_app.items():
            self._by_app[app_id] = {
                device_id: presence
                for device_id, presence in devices.items()
                if presence.node != node_id
            }

    def drop(self, app_id: str) -> None:
        """Forget an application."""
        self._by_app.pop(app_id, None)


def _is_same(one: Presence, other: Presence) -> bool:
    return one.connection_id == other.connection_id and one.node == other.node
