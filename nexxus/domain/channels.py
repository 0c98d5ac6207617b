"""Channels: queries that clients subscribe to, and their ids.

A *channel id* is public and names the query. Nodes subscribe with a *routing key*: the channel id,
followed by ``#`` and a digest if access control splits the channel into several audiences. (Object
ids never contain ``#``.)
"""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client subscribed to.

    `filter` is the client's own filter as a normalised document, None for an unfiltered channel.
    `id` and `user_id` exclude each other.
    """

    model: str
    id: str | None = None
    user_id: str | None = None
    filter: dict[str, Any] | None = None


class Route(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One audience of a channel: its descriptor, and the objects that its members may see.

    `access` is a normalised filter document, None if access is not restricted. The route receives
    the events of objects that match both.
    """

    key: str
    app_id: str
    descriptor: Descriptor
    access: dict[str, Any] | None = None


class Subscription(msgspec.Struct, frozen=True, rename="camel"):
    """A device's subscription to a channel.

    `channel_id` never changes during the subscription; `route` changes with the roles.
    `narrowing_from` is the former route while such a change is in progress, otherwise None.
    `user_id` and `user_type` are the subscriber's; they determine the route when roles change. A
    subscription that `is_persistent` needs no connection: its device can be sent pushes.
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
"""Separates a channel id from the digest of one of its audiences."""


def channel_of(key: str) -> str:
    """Return the channel id of a routing key."""
    return key.partition(SPLIT)[0]
