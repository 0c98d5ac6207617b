"""Away events: from the parts that route events to the one that pushes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.cluster.messages import Delivery
from nexxus.domain.objects import Document, ObjectKey
from nexxus.interfaces.broker import Broker, Group, Message, Topic


class AwayEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An event, for devices that are away.

    `delivery` says what it is to which routing keys, without the object. `after` is the object for
    those to which it was created or updated, `before` for those that it left, as far as they are
    known. With a `device_id` it is for that device alone, else for all away devices of the keys.
    """

    delivery: Delivery
    before: Document | None = None
    after: Document | None = None
    device_id: str = ""


AWAY_EVENTS: Final[Topic[AwayEvent]] = Topic("away-events", AwayEvent, must_survive=True)
"""What is to be pushed. A device that is away has no other way to learn of it."""

PUSH: Final[Group[AwayEvent]] = Group(AWAY_EVENTS, "push")


async def publish_away(broker: Broker, events: Sequence[AwayEvent]) -> None:
    """Publish events for away devices; return when they are safe with the pushing part."""
    await broker.publish(AWAY_EVENTS, [Message(_partition(event), event) for event in events])


def _partition(event: AwayEvent) -> str:
    delivery = event.delivery
    return ObjectKey(delivery.app_id, delivery.type, delivery.id).partition
