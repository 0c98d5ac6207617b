"""Notices to gateways of other nodes, which are sent again until the broker accepts them."""

from __future__ import annotations

import asyncio
from typing import Final

from nexxus.cluster.messages import GatewayMessage, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Presence
from nexxus.toolkit.tasks import Tasks

_AGAIN_AFTER: Final = 1.0
"""Seconds until a notice that the broker did not accept is sent again."""


class Notices:
    """Sends the node that holds a device a message about it, in the background.

    If this node stops before the message is sent, the other nodes find out by themselves: they
    compare what they serve with the registry when a node has left.
    """

    def __init__(self, peers: Peers, tasks: Tasks, logger: Logger) -> None:
        self._peers = peers
        self._tasks = tasks
        self._logger = logger

    def send(self, holder: Presence, message: GatewayMessage) -> None:
        """Notify the node of this presence."""
        self._tasks.start(self._send(holder, message))

    async def _send(self, holder: Presence, message: GatewayMessage) -> None:
        while True:
            try:
                await self._peers.send(gateway_mailbox(holder.transport, holder.node), message)
            except ServiceUnavailable as error:
                self._logger.warning(
                    "another node could not be notified about a device",
                    node=holder.node,
                    reason=str(error),
                )
                await asyncio.sleep(_AGAIN_AFTER)
            else:
                return
