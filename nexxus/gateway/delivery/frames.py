"""From a delivery to frames: what one event is to one device."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, TypeAlias

import msgspec

from nexxus.cluster.messages import Delivery
from nexxus.gateway.connections.frames import encode_frame, encode_value
from nexxus.gateway.delivery.cursors import Around
from nexxus.interfaces.transport import Encoding, Framing


class Verdict(IntEnum):
    """What an event is to a channel."""

    CREATED = 0
    UPDATED = 1
    LEFT = 2
    DENIED = 3
    DELETED = 4


Told: TypeAlias = tuple[tuple[Verdict, str], ...]
"""What a device is told of an event: a verdict for each of its channels, each channel once."""

_EVENTS = ("model_created", "model_updated", "model_deleted", "model_deleted", "model_deleted")
_REASONS = {Verdict.LEFT: "left", Verdict.DENIED: "denied", Verdict.DELETED: "deleted"}


def verdicts_of(delivery: Delivery) -> list[tuple[str, Verdict]]:
    """Every routing key of a delivery with what the event is to it."""
    verdicts: list[tuple[str, Verdict]] = []
    for verdict, keys in (
        (Verdict.CREATED, delivery.created),
        (Verdict.UPDATED, delivery.updated),
        (Verdict.LEFT, delivery.left),
        (Verdict.DENIED, delivery.denied),
        (Verdict.DELETED, delivery.deleted),
    ):
        for key in keys:
            verdicts.append((key, verdict))  # noqa: PERF401 - mostly there is one
    return verdicts


def while_narrowing(former: Verdict) -> Verdict:
    """What an event for only the former of two audiences is to a member moving to the other.

    The object is not for the member any more, so it goes; it never comes or changes.
    """
    return Verdict.DENIED if former in (Verdict.CREATED, Verdict.UPDATED) else former


class DeliveryFrames:
    """Encodes the frames of one delivery, each distinct one once.

    Of several frames only the last has the cursor after the delivery: a client that loses its
    connection between them, and resumes, gets all of them again.
    """

    __slots__ = ("_cursors", "_delivery", "_encoded", "_frames")

    def __init__(self, delivery: Delivery, cursors: Around) -> None:
        self._delivery = delivery
        self._cursors = cursors
        self._encoded: dict[tuple[str, Encoding], msgspec.Raw] = {}
        self._frames: dict[tuple[Told, Framing], list[bytes]] = {}

    def frames(self, told: Told, framing: Framing) -> list[bytes]:
        """At most one frame of each kind: created, updated, deleted, in this order."""
        known = self._frames.get((told, framing))
        if known is None:
            events = list(self._events(told, framing))
            ends = [self._cursors.before] * (len(events) - 1) + [self._cursors.after]
            known = self._frames[told, framing] = [
                self._frame(framing, *event, cursor)
                for event, cursor in zip(events, ends, strict=False)
            ]
        return known

    def _events(
        self, told: Told, framing: Framing
    ) -> Iterable[tuple[str, dict[str, Any], list[str]]]:
        """The name, the data and the channels of each frame."""
        delivery, encoding = self._delivery, framing.encoding
        created = [channel for verdict, channel in told if verdict is Verdict.CREATED]
        if created:
            model = self._part("object", delivery.object, encoding)
            yield "model_created", {"model": model}, created
        updated = [channel for verdict, channel in told if verdict is Verdict.UPDATED]
        if updated:
            patches = self._part("patches", delivery.patches, encoding)
            data = {"model": self._identity(encoding), "patches": patches}
            yield "model_updated", data, updated
        gone = [(verdict, channel) for verdict, channel in told if verdict in _REASONS]
        if gone:
            # Denied wins: it is obeyed whatever the version.
            reasons = {verdict for verdict, _ in gone}
            reason = Verdict.DENIED if Verdict.DENIED in reasons else max(reasons)
            left = {"model": self._identity(encoding), "reason": _REASONS[reason]}
            yield "model_deleted", left, [channel for _, channel in gone]

    def _identity(self, encoding: Encoding) -> msgspec.Raw:
        delivery = self._delivery
        identity = identify(
            delivery.id, delivery.type, delivery.app_id, delivery.user_id, delivery.version
        )
        return self._part("identity", identity, encoding)

    def _part(self, name: str, value: Any, encoding: Encoding) -> msgspec.Raw:
        encoded = self._encoded.get((name, encoding))
        if encoded is None:
            encoded = self._encoded[name, encoding] = encode_value(encoding, value)
        return encoded

    def _frame(
        self, framing: Framing, event: str, data: dict[str, Any], channels: list[str], cursor: str
    ) -> bytes:
        metadata = {"channels": channels, "cursor": cursor}
        whole = {"event": event, **data, "metadata": metadata}
        return encode_frame(framing, event, whole, cursor=cursor, channels=channels)


def identify(
    id: str, type: str, app_id: str, user_id: str | None, version: int | None
) -> dict[str, Any]:
    """The ``model`` of an event that does not bring the object."""
    model: dict[str, Any] = {"id": id, "type": type, "appId": app_id}
    if user_id is not None:
        model["userId"] = user_id
    if version is not None:
        model["version"] = version
    return model
