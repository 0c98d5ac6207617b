"""Channels: what can be subscribed to, and the ids that name it.

A *channel id* is public: it names the query. A *routing key* is what nodes subscribe with: it
is the channel id, followed by ``#`` and a digest where access control splits one channel id
into several audiences. (Ids of objects have no ``#``.)
"""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client asked to follow; `filter` is its own, as a normalised document.

    `id` and `user_id` exclude each other. An unfiltered channel has no `filter`.
    """

    model: str
    id: str | None = None
    user_id: str | None = None
    filter: dict[str, Any] | None = None


class Route(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One audience of events: a descriptor, narrowed by what its members may see.

    `access` is a normalised filter document, None where nothing restricts. An event is for the
    route when its object matches both.
    """

    key: str
    app_id: str
    descriptor: Descriptor
    access: dict[str, Any] | None = None


class Subscription(msgspec.Struct, frozen=True, rename="camel"):
    """A device's place in a channel.

    `channel_id` never changes while the subscription lives; `route` does when roles change.
    `narrowing_from` is the former route while the change is in progress, None otherwise.
    `user_id` and `user_type` are the subscriber's; they decide the route when roles change. One
    that `is_persistent` does not need a connection: it belongs to a device that can be pushed to.
    """

    app_id: str
    device_id: str
    channel_id: str
    descriptor: Descriptor
    route: Route
    narrowing_from: Route | None = None
    user_id: str | None = None
    user_type: str | None = None
    is_persistent: bool = False


SPLIT: Final = "#"
"""Stands between a channel id and the digest of one of its audiences."""


def channel_of(key: str) -> str:
    """The channel id of a routing key."""
    return key.partition(SPLIT)[0]
