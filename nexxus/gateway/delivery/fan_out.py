"""Fan-out: sends one delivery to all connections of this node that follow it."""

from __future__ import annotations

from typing import TypeAlias

from nexxus.cluster.messages import Delivery
from nexxus.domain.channels import channel_of
from nexxus.domain.verdicts import GONE, Verdict, while_narrowing
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.delivery.audiences import Audience, Audiences
from nexxus.gateway.delivery.cursors import Cursors
from nexxus.gateway.delivery.frame_collector import FrameCollector
from nexxus.gateway.delivery.frames import DeliveryFrames

_ByConnection: TypeAlias = dict[Connection, list[tuple[str, Verdict]]]
"""Connection → the event's verdict for each of its channels."""


class FanOut:
    """Puts a delivery's frames into the collector, once per device and kind."""

    def __init__(self, routes: Audiences, collector: FrameCollector, cursors: Cursors) -> None:
        self._routes = routes
        self._collector = collector
        self._cursors = cursors

    def deliver(self, delivery: Delivery, seq: int) -> None:
        """Send every live connection what the event means for its channels."""
        find = self._routes.find
        shown = (key for key, verdict in delivery.verdicts.items() if verdict not in GONE)
        self._routes.note_delivered(shown, delivery.id, seq)
        audiences: list[tuple[Audience, Verdict]] = []
        for key, verdict in delivery.verdicts.items():
            audience = find(key)
            if audience is not None:
                audiences.append((audience, verdict))
        if not audiences:
            return
        frames = DeliveryFrames(delivery, self._cursors.around(seq))
        if len(audiences) == 1 and audiences[0][0].narrowing is None:
            self._deliver_to_one(*audiences[0], frames)
        else:
            self._deliver_to_many(audiences, delivery, frames)

    def deliver_late(self, delivery: Delivery, seq: int) -> None:
        """Send a late event to the devices whose subscriptions were moved here meanwhile.

        The other devices got it from the former node, or have read it since they subscribed.
        """
        verdicts: _ByConnection = {}
        for key, verdict in delivery.verdicts.items():
            audience = self._routes.find(key)
            for members in () if audience is None else audience.members.values():
                for connection in members:
                    if _has_missed(connection, channel_of(key), delivery):
                        verdicts.setdefault(connection, []).append((channel_of(key), verdict))
        self._put(verdicts, DeliveryFrames(delivery, self._cursors.around(seq)))

    def _deliver_to_one(self, audience: Audience, verdict: Verdict, frames: DeliveryFrames) -> None:
        """Deliver in the common case: one frame, the same for everyone."""
        verdicts = ((audience.channel, verdict),)
        for framing, members in audience.members.items():
            frame = frames.frames(verdicts, framing)[0]
            if frame:
                self._collector.put_all(members, frame, joins=framing.joins)

    def _deliver_to_many(
        self,
        audiences: list[tuple[Audience, Verdict]],
        delivery: Delivery,
        frames: DeliveryFrames,
    ) -> None:
        verdicts: _ByConnection = {}
        for audience, verdict in audiences:
            entry = (audience.channel, verdict)
            for members in audience.members.values():
                for connection in members:
                    if connection in verdicts:
                        verdicts[connection].append(entry)
                    else:
                        verdicts[connection] = [entry]
            if audience.narrowing is not None:
                former = (audience.channel, while_narrowing(verdict))
                for connection, moving_to in audience.narrowing.items():
                    if moving_to not in delivery.verdicts:
                        verdicts.setdefault(connection, []).append(former)
        self._put(verdicts, frames)

    def _put(self, verdicts: _ByConnection, frames: DeliveryFrames) -> None:
        """Send each connection the frames of what the event means for its channels."""
        put = self._collector.put
        for connection, its_verdicts in verdicts.items():
            for frame in frames.frames(tuple(its_verdicts), connection.framing):
                if frame:
                    put(connection, frame)


def _has_missed(connection: Connection, channel: str, delivery: Delivery) -> bool:
    """Whether the device brought the channel from another node, without this event."""
    held = None if connection.device is None else connection.device.subscriptions.get(channel)
    if held is None or held.replayed is None:
        return False
    name, place = delivery.moment
    return held.replayed.get(name, -1) < place
