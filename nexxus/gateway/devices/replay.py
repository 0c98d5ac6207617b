"""Replay: the remembered deliveries that a device has missed, and the frames for them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nexxus.cluster.messages import Delivery
from nexxus.domain.verdicts import Verdict, while_narrowing
from nexxus.gateway.delivery.cursors import Around
from nexxus.gateway.delivery.delivery_log import DeliveryLog, LoggedDelivery
from nexxus.gateway.delivery.frames import ChannelVerdicts, DeliveryFrames
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.settings import GatewaySettings


def missed_by(
    device: Resident, log: DeliveryLog, after: int, settings: GatewaySettings
) -> list[tuple[int, Delivery]] | None:
    """Return the deliveries for the device's subscriptions after that sequence number, in order.

    Each delivery, with its number, has only the routing keys that the device follows. Returns None
    if some are forgotten, or if they are too many.
    """
    entries: dict[int, LoggedDelivery] = {}
    begins: dict[str, int] = {}
    for held in device.subscriptions.values():
        for key in held.routing_keys():
            begins[key] = max(after, held.since)
            found = log.since(key, begins[key])
            if found is None:
                return None
            entries.update({entry.seq: entry for entry in found})
    if len(entries) > settings.resume_frames:
        return None
    if sum(len(entry.packed) for entry in entries.values()) > settings.resume_bytes:
        return None
    missed = []
    for seq in sorted(entries):
        wanted = {key for key in entries[seq].keys if key in begins and seq > begins[key]}
        missed.append((seq, only_for(entries[seq].delivery(), wanted)))
    return missed


def only_for(delivery: Delivery, keys: set[str]) -> Delivery:
    """Return the delivery with those of its routing keys that are in `keys`."""
    kept = {key: verdict for key, verdict in delivery.verdicts.items() if key in keys}
    return msgspec.structs.replace(delivery, verdicts=kept)


def frames_of(
    device: Resident, missed: Iterable[tuple[Around, Delivery]], settings: GatewaySettings
) -> list[bytes] | None:
    """Return the frames for these deliveries, with their cursors; None if they are too large."""
    connection = device.connection
    if connection is None:
        return None
    frames: list[bytes] = []
    size = 0
    for cursors, delivery in missed:
        encoder = DeliveryFrames(delivery, cursors)
        for frame in encoder.frames(_verdicts_for(device, delivery), connection.framing):
            frames.append(frame)
            size += len(frame)
        if size > settings.resume_bytes or len(frames) > settings.resume_frames:
            return None
    return frames


def _verdicts_for(device: Resident, delivery: Delivery) -> ChannelVerdicts:
    """Return the event's verdict for each of the device's channels."""
    found: list[tuple[str, Verdict]] = []
    for channel, held in device.subscriptions.items():
        key, *former_keys = held.routing_keys()
        verdict = delivery.verdicts.get(key)
        if verdict is None and former_keys and former_keys[0] in delivery.verdicts:
            verdict = while_narrowing(delivery.verdicts[former_keys[0]])
        if verdict is not None:
            found.append((channel, verdict))
    return tuple(found)
