"""Away events: sent by the parts that route events to the part that pushes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.cluster.messages import Delivery
from nexxus.domain.objects import Document, ObjectKey
from nexxus.interfaces.broker import Broker, Group, Message, Topic


class AwayEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An event, for devices that are away.

    `delivery` has the verdict for each routing key, without the object. `after` is the object for
    keys under which it was created or updated, `before` the object for keys that it has left, as
    far as they are known. With a `device_id` the event is for that device only, otherwise for all
    away devices of the keys.
    """

    delivery: Delivery
    before: Document | None = None
    after: Document | None = None
    device_id: str = ""


AWAY_EVENTS: Final[Topic[AwayEvent]] = Topic("away-events", AwayEvent, must_survive=True)
"""Events to be pushed. A device that is away learns of them in no other way."""

PUSH: Final[Group[AwayEvent]] = Group(AWAY_EVENTS, "push")


async def publish_away(broker: Broker, events: Sequence[AwayEvent]) -> None:
    """Publish events for away devices; return when they are stored for the pushing part."""
    await broker.publish(AWAY_EVENTS, [Message(_partition(event), event) for event in events])


def _partition(event: AwayEvent) -> str:
    delivery = event.delivery
    return ObjectKey(delivery.app_id, delivery.type, delivery.id).partition
