"""Routing: which connections of this node follow which routing keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from nexxus.domain.channels import Subscription, channel_of
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.delivery.frame_collector import FrameCollector
from nexxus.interfaces.transport import Framing

Members: TypeAlias = dict[Connection, None]


class Audience:
    """The connections that follow one routing key.

    `members` has the connections that stay, by framing. `narrowing` has those that are leaving the
    key, each with the key that it is moving to: if that key has a verdict, it takes precedence.
    """

    __slots__ = ("channel", "members", "narrowing")

    def __init__(self, key: str) -> None:
        self.channel = channel_of(key)
        self.members: dict[Framing, Members] = {}
        self.narrowing: dict[Connection, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.members or self.narrowing)


class Audiences:
    """Routing key → audience, for the connections that are live."""

    def __init__(self, collector: FrameCollector) -> None:
        self._collector = collector
        self._audiences: dict[str, Audience] = {}
        self._delivered: dict[str, _Delivered] = {}

    def find(self, key: str) -> Audience | None:
        """Return the audience of a key, or None if no connection of this node follows it."""
        return self._audiences.get(key)

    def add(self, connection: Connection, subscription: Subscription, seq: int) -> None:
        """Route the subscription's events after `seq` to the connection."""
        self._collector.end_run()
        key = subscription.route.key
        self._audience(key).members.setdefault(connection.framing, {})[connection] = None
        former = subscription.narrowing_from
        if former is None:
            return
        audience = self._audience(former.key)
        if audience.narrowing is None:
            audience.narrowing = {}
        audience.narrowing[connection] = key
        delivered = self._delivered.setdefault(key, _Delivered())
        delivered.watchers.setdefault(connection, seq)

    def remove(self, connection: Connection, subscription: Subscription) -> None:
        """Undo `add`."""
        self._collector.end_run()
        key = subscription.route.key
        audience = self._audiences.get(key)
        if audience is not None:
            members = audience.members.get(connection.framing)
            if members is not None:
                members.pop(connection, None)
                if not members:
                    del audience.members[connection.framing]
            self._forget_if_empty(key, audience)
        former = subscription.narrowing_from
        if former is None:
            return
        audience = self._audiences.get(former.key)
        if audience is not None and audience.narrowing is not None:
            audience.narrowing.pop(connection, None)
            audience.narrowing = audience.narrowing or None
            self._forget_if_empty(former.key, audience)
        delivered = self._delivered.get(key)
        if delivered is not None:
            delivered.watchers.pop(connection, None)
            if not delivered.watchers:
                del self._delivered[key]

    def note_delivered(self, keys: Iterable[str], object_id: str, seq: int) -> None:
        """Record that `keys` have shown the object, if a connection is moving to one of them."""
        if self._delivered:
            for key in keys:
                delivered = self._delivered.get(key)
                if delivered is not None:
                    delivered.last[object_id] = seq

    def has_shown(self, connection: Connection, key: str, object_id: str) -> bool:
        """Return whether `key` has shown the object since the connection began to move to it."""
        delivered = self._delivered.get(key)
        if delivered is None or connection not in delivered.watchers:
            return False
        return delivered.last.get(object_id, -1) > delivered.watchers[connection]

    def _audience(self, key: str) -> Audience:
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(key)
        return audience

    def _forget_if_empty(self, key: str, audience: Audience) -> None:
        if not audience:
            del self._audiences[key]


class _Delivered:
    """The objects that a key has shown while connections move to it, and when each began to."""

    __slots__ = ("last", "watchers")

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.watchers: dict[Connection, int] = {}
