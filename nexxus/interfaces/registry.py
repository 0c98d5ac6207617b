"""The registry: devices, sessions, subscriptions, presence, and what must be known once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from nexxus.domain.channels import Route, Subscription
from nexxus.domain.operations import Fate


class Device(msgspec.Struct, frozen=True, rename="camel"):
    """A device, but for what its connection and subscriptions say. `last_seen`: UNIX seconds."""

    id: str
    app_id: str
    name: str
    user_id: str | None = None
    last_seen: int | None = None


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """A device's session. Times are UNIX seconds.

    `generation` counts the refreshes; `refresh_hash` is the SHA-256 of the refresh token of
    that generation. The token of the generation before is good for `GRACE` s after
    `rotated_at`. `user_type` is the one that the user had when it began. Of one that `is_ending`
    no token is good any more, but not everybody who must know does.
    """

    id: str
    app_id: str
    device_id: str
    user_id: str | None
    generation: int
    refresh_hash: str
    rotated_at: float
    expires_at: int
    user_type: str | None = None
    is_ending: bool = False


class Presence(msgspec.Struct, frozen=True):
    """Which connection of which node holds a device; `transport` is e.g. ``websockets``."""

    app_id: str
    device_id: str
    node: str
    transport: str
    connection_id: str


class Node(msgspec.Struct, frozen=True):
    """A running process: its id, roles, and the transports whose queues it consumes."""

    id: str
    roles: tuple[str, ...]
    transports: tuple[str, ...] = ()


class Placement(msgspec.Struct, frozen=True):
    """A subscription, and the transport and node that serve it."""

    subscription: Subscription
    transport: str
    node: str

    @property
    def served_by(self) -> tuple[str, str]:
        """The transport and the node."""
        return (self.transport, self.node)


class RouteState(msgspec.Struct, frozen=True):
    """A route and the (transport, node) pairs that have subscribers on it; none: it is gone."""

    route: Route
    nodes: frozenset[tuple[str, str]]


class RouteChanges(msgspec.Struct, frozen=True):
    """What changed in the routes of a model since a version.

    With `complete`, `states` are all the routes there are, and others are to be forgotten.
    """

    version: int
    complete: bool
    states: list[RouteState]


class Registry(ABC):
    """What every node must agree on. All of it is per application; nothing is shared.

    Devices, sessions, fates and claims survive a restart of the process, presence and
    subscriptions need not. Every method may be called concurrently and raises
    `ServiceUnavailable` when the registry cannot answer.
    """

    @abstractmethod
    async def open(self) -> None:
        """Connect; `StartupError` when it is wrong, `ServiceUnavailable` when only away."""

    @abstractmethod
    async def close(self) -> None:
        """Write out what is pending and let go; may be called twice."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the registry answers, else raise `ServiceUnavailable`."""

    # Nodes

    @abstractmethod
    async def announce(self, node: Node, lifetime: float) -> bool:
        """The node is alive for another `lifetime` seconds; whether it was known and all is there.

        False says that the registry may have forgotten what this node serves, because it came
        back with less than it had, or took the node for dead: presences and subscriptions are
        to be put back. So it is, too, when a node announces itself for the first time.
        """

    @abstractmethod
    async def retire(self, node_id: str) -> None:
        """The node is gone: forget it, its presences, and the subscriptions of its devices."""

    @abstractmethod
    async def nodes(self) -> list[Node]:
        """The nodes that are alive."""

    @abstractmethod
    async def sweep(self) -> list[str]:
        """Retire the nodes whose lifetime has run out; their ids."""

    # Devices

    @abstractmethod
    async def put_device(self, device: Device) -> None:
        """Store a device, new or changed."""

    @abstractmethod
    async def get_device(self, app_id: str, device_id: str) -> Device | None:
        """One device."""

    @abstractmethod
    async def devices_of(self, app_id: str, user_id: str) -> list[Device]:
        """A user's devices, oldest first."""

    @abstractmethod
    async def delete_devices(self, app_id: str, device_ids: Sequence[str]) -> None:
        """Forget devices with their sessions and subscriptions."""

    # Sessions

    @abstractmethod
    async def put_session(self, session: Session) -> str | None:
        """Store a new session; it replaces the device's former one, whose id is returned."""

    @abstractmethod
    async def get_session(self, app_id: str, session_id: str) -> Session | None:
        """A live session; None when it has ended or expired. Called on every request: fast."""

    @abstractmethod
    async def rotate_session(self, session: Session, *, expected_generation: int) -> bool:
        """Replace a session, if it lives and its generation is the expected one. Atomic."""

    @abstractmethod
    async def end_session(self, app_id: str, session_id: str) -> Session | None:
        """End a session at once; it, if it was live."""

    @abstractmethod
    async def sessions_of(self, app_id: str, user_id: str) -> list[Session]:
        """A user's live sessions."""

    # What must be known once

    @abstractmethod
    async def claim(
        self, app_id: str, scope: str, key: str, value: bytes, ttl: int
    ) -> bytes | None:
        """Keep `value` under (`app_id`, `scope`, `key`) for `ttl` seconds, unless one is there.

        None when it was free and is now claimed, durably; else the value that is there. Atomic.
        Used for idempotency keys, single-use states and nonces.
        """

    @abstractmethod
    async def release(self, app_id: str, scope: str, key: str) -> None:
        """Forget a claim; none is fine."""

    @abstractmethod
    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        """Add to a counter that starts anew every `window` seconds; its value after."""

    @abstractmethod
    async def put_fates(self, fates: Sequence[Fate]) -> None:
        """Keep what became of operations for 24 h. ``queued`` never replaces another state."""

    @abstractmethod
    async def get_fate(self, app_id: str, operation_id: str) -> Fate | None:
        """What became of an operation."""

    # Presence

    @abstractmethod
    async def connect(self, presence: Presence) -> Presence | None:
        """The device is held by this connection now; the one that held it before, if any."""

    @abstractmethod
    async def disconnect(self, presence: Presence) -> None:
        """The connection is gone; does nothing if another holds the device by now.

        The device, if it is known, was `Device.last_seen` just now.
        """

    @abstractmethod
    async def presence_of(self, app_id: str, device_id: str) -> Presence | None:
        """Which connection holds a device."""

    # Subscriptions

    @abstractmethod
    async def subscribe(self, subscription: Subscription, transport: str, node: str) -> None:
        """Add or replace the device's subscription to the channel, served by this node.

        On return `routes_version` of the route's (application, model) has grown on every node,
        if a route came into being or changed its nodes.
        """

    @abstractmethod
    async def unsubscribe(
        self,
        app_id: str,
        device_id: str,
        channel_ids: Sequence[str],
        *,
        served_by: tuple[str, str] | None = None,
    ) -> None:
        """Remove these subscriptions of the device; unknown ones are fine.

        With `served_by`, a transport and a node, those that others serve by now stay. Each is
        looked at and removed in one step.
        """

    @abstractmethod
    async def placements_of(self, app_id: str, device_id: str) -> list[Placement]:
        """The device's subscriptions and who serves them, in the order they were made."""

    async def subscriptions_of(self, app_id: str, device_id: str) -> list[Subscription]:
        """The device's subscriptions, in the order they were made."""
        return [each.subscription for each in await self.placements_of(app_id, device_id)]

    @abstractmethod
    async def routes_version(self, app_id: str, model: str) -> int:
        """A number that grows when the model's routes change; 0 if there never were any."""

    @abstractmethod
    async def routes(self, app_id: str, model: str, since: int) -> RouteChanges:
        """What changed in the model's routes after version `since` (0: everything)."""

    @abstractmethod
    async def drop(self, app_id: str) -> None:
        """Remove everything of an application."""

    async def statistics(self) -> dict[str, Any]:
        """Figures for the metrics page: name → number."""
        return {}
