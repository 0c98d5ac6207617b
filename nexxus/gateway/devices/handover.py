"""Handover: a device that resumes on another node gets the events that its former node remembers.

No event may be lost between the two nodes. The new node first records in the registry that it
serves the subscriptions. Then it asks the former node, through the same mailbox in which that node
receives its deliveries. A transport manager that sent an event to the former node either did so
before that question, and then the answer contains the event. Or it sees after sending that the
routes have changed, and sends the event to the new node as well (`nexxus.transport_manager`).
`join` removes duplicates.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from nexxus.cluster.messages import Delivery, HandoverAsked, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.errors import ServiceUnavailable, WireError
from nexxus.gateway.devices.replay import missed_by
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.gateway.settings import GatewaySettings
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry


class Handover:
    """Asks for devices of other nodes, and hands over those of this one."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        peers: Peers,
        registry: Registry,
        residents: Residents,
        logger: Logger,
    ) -> None:
        self._settings = settings
        self._peers = peers
        self._registry = registry
        self._residents = residents
        self._cursors = residents.log.cursors
        self._place = residents.place
        self._logger = logger
        self._one_went = asyncio.Event()

    async def ask(self, device: Resident, cursor: str) -> list[Delivery] | None:
        """Return what a device of this node has missed since another node's cursor, in order.

        The registry must already name this node for its kept subscriptions. Returns None if the
        other node does not know, does not answer in time, or is gone.
        """
        node = self._cursors.node_of(cursor)
        if node is None or node == self._place.node:
            return None
        kept = [held for held in device.subscriptions.values() if held.is_kept]
        keys = sorted({key for held in kept for key in held.routing_keys()})
        asked = HandoverAsked(device.app_id, device.device_id, cursor, keys)
        try:
            if all(other.id != node for other in await self._registry.nodes.alive()):
                return None
            answer = await self._peers.ask(
                gateway_mailbox(self._place.transport, node),
                asked,
                within=self._settings.handover_timeout,
            )
        except WireError as error:
            self._logger.warning(
                "another node did not hand over a device", former=node, reason=error.message
            )
            return None
        return answer.missed

    async def hand_over(self, asked: HandoverAsked) -> None:
        """Answer another node's question, and release the device if the answer is complete."""
        missed: list[Delivery] | None = None
        error: WireError | None = None
        try:
            async with self._residents.hold(asked.app_id, asked.device_id) as device:
                missed = await self._missed_by(device, asked)
                if missed is not None:
                    self._residents.let_go(device)
                    self._one_went.set()
        except ServiceUnavailable as reason:
            error = reason
        try:
            await self._peers.acknowledge(asked.reply_to, error, missed=missed)
        except ServiceUnavailable as unheard:
            self._logger.warning("a device's new node was not answered", reason=str(unheard))

    async def linger(self) -> None:
        """Wait until other nodes have taken over the silent devices of this node.

        Returns immediately if there is no other node, and otherwise after `handover_timeout` at the
        latest.
        """
        try:
            others = [
                node
                for node in await self._registry.nodes.alive()
                if node.id != self._place.node and self._place.transport in node.transports
            ]
        except ServiceUnavailable:
            return
        if not others:
            return
        try:
            async with asyncio.timeout(self._settings.handover_timeout):
                while self._keeps_something():
                    self._one_went.clear()
                    await self._one_went.wait()
        except TimeoutError:
            self._logger.info("some clients have not reconnected to another node yet")

    def _keeps_something(self) -> bool:
        return any(
            device.subscriptions and device.silent_until is not None
            for device in self._residents.everybody()
        )

    async def _missed_by(self, device: Resident, asked: HandoverAsked) -> list[Delivery] | None:
        if device.is_vacant or device.is_foreign:
            return None
        if device.connection is not None:
            # A half-open connection, or the one with which the client reconnected.
            holder = await self._registry.presence.get(device.app_id, device.device_id)
            if holder is None or self._place.has(holder):
                return None
        seq = self._cursors.read(asked.cursor)
        if seq is None or seq > self._residents.log.seq or seq < device.floor:
            return None
        keys = {key for held in device.subscriptions.values() for key in held.routing_keys()}
        if keys != set(asked.keys):
            return None  # One of the nodes is behind: roles are changing.
        missed = missed_by(device, self._residents.log, seq, self._settings)
        return None if missed is None else [delivery for _, delivery in missed]


def join(handed: Sequence[Delivery], own: Sequence[Delivery]) -> list[Delivery]:
    """Merge both nodes' deliveries: no duplicates, each object's in the order of its versions."""
    joined: list[Delivery] = []
    places: dict[tuple[str, str, int], int] = {}
    for delivery in (*handed, *own):
        moment = (delivery.type, *delivery.moment)
        place = places.setdefault(moment, len(joined))
        if place == len(joined):
            joined.append(delivery)
        else:
            joined[place] = _united(joined[place], delivery)
    by_object: dict[tuple[str, str], list[int]] = defaultdict(list)
    for (type_, name, _), place in places.items():
        by_object[type_, name].append(place)
    ordered = list(joined)
    for its_places in by_object.values():
        in_order = sorted((joined[place] for place in its_places), key=lambda each: each.moment)
        for place, delivery in zip(its_places, in_order, strict=True):
            ordered[place] = delivery
    return ordered


def _united(one: Delivery, other: Delivery) -> Delivery:
    """Return one write for the routing keys of both; for a key that both have, `one` decides."""
    return msgspec.structs.replace(
        one,
        object=one.object if one.object is not None else other.object,
        patches=one.patches or other.patches,
        verdicts=other.verdicts | one.verdicts,
    )
