"""Resumption: what a device that came back gets of what it missed."""

from __future__ import annotations

from nexxus.domain.channels import Subscription
from nexxus.errors import ServiceUnavailable
from nexxus.gateway.connection import Connection
from nexxus.gateway.counters import Counters
from nexxus.gateway.delivery import (
    DeliveryFrames,
    Told,
    Verdict,
    verdicts_of,
    while_narrowing,
)
from nexxus.gateway.devices import DeviceTable, LocalDevice
from nexxus.gateway.place import Place
from nexxus.gateway.placing import Placing
from nexxus.gateway.resume import Cursors, DeliveryLog, Entry
from nexxus.gateway.settings import GatewaySettings
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry


class Resumption:
    """Decides, with a device's first frame after ``register``, how it goes on."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        place: Place,
        registry: Registry,
        placing: Placing,
        devices: DeviceTable,
        log: DeliveryLog,
        cursors: Cursors,
        counters: Counters,
        logger: Logger,
    ) -> None:
        self._settings = settings
        self._place = place
        self._registry = registry
        self._placing = placing
        self._devices = devices
        self._log = log
        self._cursors = cursors
        self._counters = counters
        self._logger = logger

    async def resume(self, connection: Connection, cursor: str) -> None:
        """Go on from `cursor` if all that follows it is known here, else have it read anew."""
        device = connection.device
        if device is None:
            return
        async with self._devices.hold(device.app_id, device.device_id) as held:
            if held.connection is not connection:
                return
            if held.is_foreign and not await self._placing.serve_here(held, _all_of(held)):
                return
            # From here to going live nothing is awaited: no delivery can come between.
            missed = self._missed_since(cursor, held) if held.connection is connection else None
            if missed is None:
                self._resync(held)
                return
            for frame in missed:
                connection.send_bytes(frame)
            self._devices.go_live(held)
            self._counters.resumed += 1
            cursor = self._cursors.write(self._log.seq)
            connection.send("resume", {"success": True, "cursor": cursor}, cursor=cursor)

    async def start_anew(self, connection: Connection) -> None:
        """Go on without what was kept; what was subscribed to since ``register`` stays."""
        device = connection.device
        if device is None or device.is_live:
            return
        async with self._devices.hold(device.app_id, device.device_id) as held:
            if held.connection is not connection or held.is_live:
                return
            ended = held.kept()
            try:
                # What another node has left must be ours before it may be ended: the client may
                # have gone back there, and this connection may be one that nobody is at.
                if held.is_foreign and not await self._placing.serve_here(held, _all_of(held)):
                    return
                await self._registry.unsubscribe(
                    held.app_id, held.device_id, ended, served_by=self._place.key
                )
            except ServiceUnavailable as error:
                self._logger.warning(
                    "ended subscriptions are still in the registry", reason=str(error)
                )
            self._devices.remove(held, ended)
            held.is_foreign = False
            is_rerouted = any(kept.since < held.floor for kept in held.subscriptions.values())
            missed = None if is_rerouted else self._replay(held, 0)
            if missed is None:
                self._resync(held)
                return
            for frame in missed:
                connection.send_bytes(frame)
            self._devices.go_live(held)

    def _resync(self, device: LocalDevice) -> None:
        """Make every subscription live and have the client read its channels anew."""
        self._devices.go_live(device)
        self._counters.resynced += 1
        announce_resync(device, list(device.subscriptions), self._log, self._cursors)

    def _missed_since(self, cursor: str, device: LocalDevice) -> list[bytes] | None:
        seq = self._cursors.read(cursor)
        if seq is None or seq > self._log.seq or seq < device.floor:
            return None
        if device.is_foreign or not device.is_resumable:
            return None
        return [] if device.is_live else self._replay(device, seq)

    def _replay(self, device: LocalDevice, after: int) -> list[bytes] | None:
        """The frames of what the device missed, in order; None if unknown or too much."""
        connection = device.connection
        if connection is None:
            return None
        entries: dict[int, Entry] = {}
        followed: dict[str, str] = {}
        for channel, held in device.subscriptions.items():
            for key in held.routing_keys():
                found = self._log.since(key, max(after, held.since))
                if found is None:
                    return None
                entries.update({entry.seq: entry for entry in found})
                followed[key] = channel
        if len(entries) > self._settings.resume_frames:
            return None
        frames: list[bytes] = []
        size = 0
        for seq in sorted(entries):
            delivery = entries[seq].delivery()
            channels = dict.fromkeys(followed[key] for key in entries[seq].keys if key in followed)
            new_to = [c for c in channels if seq > max(after, device.subscriptions[c].since)]
            told = _told(device, new_to, dict(verdicts_of(delivery)))
            encoder = DeliveryFrames(delivery, self._cursors.write(seq))
            for frame in encoder.frames(told, connection.framing):
                frames.append(frame)
                size += len(frame)
            if size > self._settings.resume_bytes or len(frames) > self._settings.resume_frames:
                return None
        return frames


def announce_resync(
    device: LocalDevice, channels: list[str], log: DeliveryLog, cursors: Cursors
) -> None:
    """Have a device read channels anew; one that is not live learns of it when it resumes.

    A client that did not get this frame must not resume over it: it raises the floor.
    """
    device.floor = log.advance()
    if device.is_live and device.connection is not None:
        cursor = cursors.write(device.floor)
        device.connection.send("resync", {"channels": channels, "cursor": cursor}, cursor=cursor)


def _all_of(device: LocalDevice) -> list[Subscription]:
    return [held.subscription for held in device.subscriptions.values()]


def _told(device: LocalDevice, channels: list[str], verdicts: dict[str, Verdict]) -> Told:
    """What an event is to some of the device's channels."""
    told: list[tuple[Verdict, str]] = []
    for channel in channels:
        key, *former_keys = device.subscriptions[channel].routing_keys()
        verdict = verdicts.get(key)
        if verdict is None:
            verdict = while_narrowing(verdicts[former_keys[0]])
        told.append((verdict, channel))
    return tuple(told)
