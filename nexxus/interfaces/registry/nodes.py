"""The processes that share the registry, and which of them are alive."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec


class Node(msgspec.Struct, frozen=True):
    """A running process: its id, its roles, and the transports whose queues it consumes."""

    id: str
    roles: tuple[str, ...]
    transports: tuple[str, ...] = ()


class NodeStore(ABC):
    """Each node holds a lease that it renews; a node whose lease has expired is dead."""

    @abstractmethod
    async def announce(self, node: Node, lifetime: float) -> bool:
        """Renew the node's lease for `lifetime` seconds.

        Returns False if the registry may have lost something about the node: its data is gone
        wholly or in part, or another node has removed it. The node must then put its presences
        and subscriptions back. The first announcement of a node returns False, too.
        """

    @abstractmethod
    async def retire(self, node_id: str) -> None:
        """Remove a node with its presences, and end the service of its subscriptions.

        Persistent ones stay, served by no node; their devices get a `RESYNC` notice, because what
        the node was sent may not have reached them. The others are removed. An unknown node is
        ignored.
        """

    @abstractmethod
    async def alive(self) -> list[Node]:
        """Return the nodes whose lease has not expired."""

    @abstractmethod
    async def sweep(self) -> list[str]:
        """Retire every node whose lease has expired. Returns the ids of those retired here.

        Nodes may sweep at the same time; each dead node is reported to one of them.
        """
