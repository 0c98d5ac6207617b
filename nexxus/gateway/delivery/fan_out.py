"""Fan-out: one delivery to all the local connections that it is for."""

from __future__ import annotations

from nexxus.cluster.messages import Delivery
from nexxus.domain.channels import channel_of
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.delivery.audiences import Audience, Audiences
from nexxus.gateway.delivery.cursors import Cursors
from nexxus.gateway.delivery.frame_collector import FrameCollector
from nexxus.gateway.delivery.frames import (
    DeliveryFrames,
    Verdict,
    verdicts_of,
    while_narrowing,
)


class FanOut:
    """Puts a delivery's frames into the collector, once per device and kind."""

    def __init__(self, routes: Audiences, collector: FrameCollector, cursors: Cursors) -> None:
        self._routes = routes
        self._collector = collector
        self._cursors = cursors

    def deliver(self, delivery: Delivery, seq: int) -> None:
        """Tell every live connection what the event is to its channels."""
        routes = self._routes
        routes.note_delivered((*delivery.created, *delivery.updated), delivery.id, seq)
        audiences: list[tuple[Audience, str, Verdict]] = []
        for key, verdict in verdicts_of(delivery):
            audience = routes.find(key)
            if audience is not None:
                audiences.append((audience, key, verdict))
        if not audiences:
            return
        frames = DeliveryFrames(delivery, self._cursors.around(seq))
        if len(audiences) == 1 and audiences[0][0].narrowing is None:
            self._deliver_to_one(audiences[0][0], audiences[0][2], frames)
        else:
            self._deliver_to_many(audiences, frames)

    def deliver_late(self, delivery: Delivery, seq: int) -> None:
        """Tell those devices whose subscriptions came here while the event was told elsewhere.

        The others have it from there, or have read it since they subscribed.
        """
        told: dict[Connection, list[tuple[Verdict, str]]] = {}
        for key, verdict in verdicts_of(delivery):
            audience = self._routes.find(key)
            for members in () if audience is None else audience.members.values():
                for connection in members:
                    if _has_missed(connection, channel_of(key), delivery):
                        told.setdefault(connection, []).append((verdict, channel_of(key)))
        self._put(told, DeliveryFrames(delivery, self._cursors.around(seq)))

    def _deliver_to_one(self, audience: Audience, verdict: Verdict, frames: DeliveryFrames) -> None:
        """The common case: everybody is told the same, one frame."""
        told = ((verdict, audience.channel),)
        for framing, members in audience.members.items():
            frame = frames.frames(told, framing)[0]
            if frame:
                self._collector.put_all(members, frame, joins=framing.joins)

    def _deliver_to_many(
        self, audiences: list[tuple[Audience, str, Verdict]], frames: DeliveryFrames
    ) -> None:
        told: dict[Connection, list[tuple[Verdict, str]]] = {}
        keys = {key for _, key, _ in audiences}
        for audience, _, verdict in audiences:
            entry = (verdict, audience.channel)
            for members in audience.members.values():
                for connection in members:
                    if connection in told:
                        told[connection].append(entry)
                    else:
                        told[connection] = [entry]
            if audience.narrowing is not None:
                former = (while_narrowing(verdict), audience.channel)
                for connection, moving_to in audience.narrowing.items():
                    if moving_to not in keys:
                        told.setdefault(connection, []).append(former)
        self._put(told, frames)

    def _put(
        self, told: dict[Connection, list[tuple[Verdict, str]]], frames: DeliveryFrames
    ) -> None:
        """Send each connection the frames of what the event is to its channels."""
        put = self._collector.put
        for connection, verdicts in told.items():
            for frame in frames.frames(tuple(verdicts), connection.framing):
                if frame:
                    put(connection, frame)


def _has_missed(connection: Connection, channel: str, delivery: Delivery) -> bool:
    """Whether the device brought the channel from another node, without this event."""
    held = None if connection.device is None else connection.device.subscriptions.get(channel)
    if held is None or held.replayed is None:
        return False
    name, place = delivery.moment
    return held.replayed.get(name, -1) < place
