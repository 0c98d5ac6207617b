"""Resuming: the events that a returning device has missed."""

from __future__ import annotations

from nexxus.cluster.messages import Delivery
from nexxus.domain.channels import channel_of
from nexxus.errors import ServiceUnavailable
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.delivery.cursors import Around
from nexxus.gateway.devices.handover import Handover, join
from nexxus.gateway.devices.replay import frames_of, missed_by
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.gateway.figures import GatewayFigures
from nexxus.gateway.settings import GatewaySettings
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.interfaces.transport import CloseCode


class Resuming:
    """Decides by a device's first frame after ``register`` how it continues."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        registry: Registry,
        handover: Handover,
        residents: Residents,
        figures: GatewayFigures,
        logger: Logger,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._handover = handover
        self._residents = residents
        self._cursors = residents.log.cursors
        self._place = residents.place
        self._figures = figures
        self._logger = logger

    async def resume(self, connection: Connection, cursor: str) -> None:
        """Continue from `cursor` if all later events are known, here or on the former node.

        Otherwise the client must read all its channels again.
        """
        device = connection.device
        if device is None:
            return
        async with self._residents.hold(device.app_id, device.device_id) as held:
            if held.connection is not connection:
                return
            if held.is_foreign and not await self._residents.serve_all_here(held):
                return
            handed = await self._handover.ask(held, cursor)
            if held.connection is not connection:
                return
            # Nothing is awaited until the device is live, so that no delivery can come between.
            if handed is None:
                missed = self._since(cursor, held)
            else:
                missed = self._replay_handed_over(held, cursor, handed)
            if missed is None:
                self._resync(held)
                return
            for frame in missed:
                connection.send_bytes(frame)
            self._residents.go_live(held)
            self._figures.resumed += 1
            cursor = self._cursors.write(self._residents.log.seq)
            connection.send("resume", {"success": True, "cursor": cursor}, cursor=cursor)

    async def start_anew(self, connection: Connection) -> None:
        """Continue without the kept subscriptions; those made since ``register`` stay.

        A persistent device keeps its subscriptions and reads their channels again.
        """
        device = connection.device
        if device is None or device.is_live:
            return
        async with self._residents.hold(device.app_id, device.device_id) as held:
            if held.connection is not connection or held.is_live:
                return
            ended = held.kept()
            try:
                # This node must serve what another node has left before it may end it: the client
                # may have gone back there, and this connection may be abandoned.
                if held.is_foreign and not await self._residents.serve_all_here(held):
                    return
                await self._registry.subscriptions.remove(
                    held.app_id, held.device_id, ended, served_by=self._place.key
                )
            except ServiceUnavailable as error:
                self._logger.warning(
                    "ended subscriptions are still in the registry", reason=str(error)
                )
                if held.is_foreign and held.has_kept:  # no event would come for those
                    connection.close(CloseCode.GOING_AWAY, "the registry is away; connect again")
                    return
            self._residents.remove(held, ended)
            held.is_foreign = False
            if ended:  # a cursor from before this connection knows of channels that are no more
                held.floor = max(held.floor, held.begun)
            for stays in held.subscriptions.values():  # its page was read since
                stays.since = max(stays.since, held.begun)
            must_read = held.is_rerouted or held.has_kept
            missed = None if must_read else self._replay(held, 0)
            if missed is None:
                self._resync(held)
                return
            for frame in missed:
                connection.send_bytes(frame)
            self._residents.go_live(held)

    def _resync(self, device: Resident) -> None:
        """Make every subscription live and have the client read its channels again."""
        self._residents.go_live(device)
        self._figures.resynced += 1
        self._residents.resync(device, list(device.subscriptions))

    def _since(self, cursor: str, device: Resident) -> list[bytes] | None:
        """Return the frames that the device has missed since a cursor of this node."""
        seq = self._cursors.read(cursor)
        if seq is None or seq > self._residents.log.seq or seq < device.floor:
            return None
        if device.is_foreign or not device.is_resumable:
            return None
        return [] if device.is_live else self._replay(device, seq)

    def _replay(self, device: Resident, after: int) -> list[bytes] | None:
        """Return the frames that the device has missed, in order; None if unknown or too many."""
        missed = missed_by(device, self._residents.log, after, self._settings)
        if missed is None:
            return None
        with_cursors = [(self._cursors.around(seq), delivery) for seq, delivery in missed]
        return frames_of(device, with_cursors, self._settings)

    def _replay_handed_over(
        self, device: Resident, cursor: str, handed: list[Delivery]
    ) -> list[bytes] | None:
        """Return the frames of what another node has handed over and of what has come here since.

        A client that loses the connection before it has received all of them cannot resume here, so
        the frames have the cursor with which it came.
        """
        own = [] if device.is_live else missed_by(device, self._residents.log, 0, self._settings)
        if own is None or device.is_rerouted:
            return None
        missed = join(handed, [delivery for _, delivery in own])
        its_own = Around(cursor, cursor)
        frames = frames_of(device, [(its_own, delivery) for delivery in missed], self._settings)
        if frames is not None:
            for held in device.subscriptions.values():
                if held.is_kept:
                    held.replayed = {}
            for delivery in missed:
                name, place = delivery.moment
                for key in delivery.verdicts:
                    told = device.subscriptions[channel_of(key)].replayed
                    if told is not None:
                        told[name] = place
        return frames
