"""Which nodes are alive. In memory."""

from __future__ import annotations

from collections.abc import Callable

from nexxus.adapters.in_process.registry.presence import InProcessPresence
from nexxus.adapters.in_process.registry.pushes import InProcessPushes
from nexxus.adapters.in_process.registry.subscriptions import InProcessSubscriptions
from nexxus.domain.pushes import RESYNC
from nexxus.interfaces.registry import RESYNC_WITHIN, Node, NodeStore


class InProcessNodes(NodeStore):
    """`clock` returns UNIX seconds; `check_open` raises when the registry is closed."""

    def __init__(
        self,
        clock: Callable[[], float],
        presence: InProcessPresence,
        subscriptions: InProcessSubscriptions,
        pushes: InProcessPushes,
        check_open: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._presence = presence
        self._subscriptions = subscriptions
        self._pushes = pushes
        self._check_open = check_open
        self._leases: dict[str, tuple[Node, float]] = {}

    def __len__(self) -> int:
        now = self._clock()
        return sum(ends_at > now for _, ends_at in self._leases.values())

    async def announce(self, node: Node, lifetime: float) -> bool:
        self._check_open()
        is_known = node.id in self._leases
        self._leases[node.id] = (node, self._clock() + lifetime)
        return is_known

    async def retire(self, node_id: str) -> None:
        self._check_open()
        self._leases.pop(node_id, None)
        self._presence.retire(node_id)
        for app_id, device_id in self._subscriptions.retire(node_id):
            await self._pushes.add(app_id, [device_id], RESYNC, within=RESYNC_WITHIN)

    async def alive(self) -> list[Node]:
        self._check_open()
        now = self._clock()
        return [node for node, ends_at in self._leases.values() if ends_at > now]

    async def sweep(self) -> list[str]:
        self._check_open()
        now = self._clock()
        dead = [node.id for node, ends_at in self._leases.values() if ends_at <= now]
        for node_id in dead:
            await self.retire(node_id)
        return dead
