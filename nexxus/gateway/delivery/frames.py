"""From a delivery to frames: what one event is to one device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import msgspec

from nexxus.cluster.messages import Delivery
from nexxus.domain.verdicts import GONE, Verdict
from nexxus.gateway.connections.frames import encode_frame, encode_value
from nexxus.gateway.delivery.cursors import Around
from nexxus.interfaces.transport import Encoding, Framing

ChannelVerdicts: TypeAlias = tuple[tuple[str, Verdict], ...]
"""What an event means for the channels of a device, each channel once."""

_REASONS: Final = {Verdict.LEFT: "left", Verdict.DENIED: "denied", Verdict.DELETED: "deleted"}


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
        self._frames: dict[tuple[ChannelVerdicts, Framing], list[bytes]] = {}

    def frames(self, verdicts: ChannelVerdicts, framing: Framing) -> list[bytes]:
        """Return at most one frame of each kind: created, updated, deleted, in this order."""
        known = self._frames.get((verdicts, framing))
        if known is None:
            events = list(self._events(verdicts, framing))
            ends = [self._cursors.before] * (len(events) - 1) + [self._cursors.after]
            known = self._frames[verdicts, framing] = [
                self._frame(framing, *event, cursor)
                for event, cursor in zip(events, ends, strict=False)
            ]
        return known

    def _events(
        self, verdicts: ChannelVerdicts, framing: Framing
    ) -> Iterable[tuple[str, dict[str, Any], list[str]]]:
        """Yield the name, the data and the channels of each frame."""
        delivery, encoding = self._delivery, framing.encoding
        # Without patches, an update brings the whole object, which replaces the client's copy.
        shown = (Verdict.CREATED,) if delivery.patches else (Verdict.CREATED, Verdict.UPDATED)
        created = [channel for channel, verdict in verdicts if verdict in shown]
        if created:
            model = self._part("object", delivery.object, encoding)
            yield "model_created", {"model": model}, created
        updated = [channel for channel, verdict in verdicts if verdict is Verdict.UPDATED]
        if updated and delivery.patches:
            patches = self._part("patches", delivery.patches, encoding)
            data = {"model": self._identity(encoding), "patches": patches}
            yield "model_updated", data, updated
        gone = {channel: verdict for channel, verdict in verdicts if verdict in GONE}
        if gone:
            # Denied wins: a client obeys it whatever the version.
            reasons = gone.values()
            reason = Verdict.DENIED if Verdict.DENIED in reasons else max(reasons)
            left = {"model": self._identity(encoding), "reason": _REASONS[reason]}
            yield "model_deleted", left, list(gone)

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
