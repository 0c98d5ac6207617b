"""A resident: a device that this node serves, connected or silent, with its subscriptions.

A device is *live* when its events go to its connection. It is *silent* between two connections,
within the resume window. It is *pending* when it has registered but has not said whether it
resumes. Events of silent and pending devices are remembered, and sent in order once the device has
chosen.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Final, Protocol

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.seams import TokenClaims

NOT_LIVE: Final = -1
"""Used as a sequence number if the connection was lost before any event was sent to it."""


class HeldSubscription:
    """A subscription as this node serves it.

    Its events begin after the log's `since`. It `is_kept` if its connection was lost: it then ends
    unless the device resumes. If another node has handed it over, `replayed` has the last
    `Delivery.moment` of each object that was replayed then.
    """

    __slots__ = ("is_kept", "replayed", "since", "subscription")

    def __init__(self, subscription: Subscription, since: int, *, is_kept: bool) -> None:
        self.subscription = subscription
        self.since = since
        self.is_kept = is_kept
        self.replayed: dict[str, int] | None = None

    def routing_keys(self) -> tuple[str, ...]:
        """The routing keys of its events."""
        former = self.subscription.narrowing_from
        key = self.subscription.route.key
        return (key,) if former is None else (key, former.key)


class SilenceOwner(Protocol):
    """Ends a silence."""

    def silence_is_over(self, device: Resident) -> None:
        """Handle that the device did not come back while its subscriptions were kept."""
        ...


class Resident:
    """A device that this node serves. Changes that span an await are made within `Residents.hold`.

    Sequence numbers: `floor` is the lowest from which it may resume, `begun` the one at which its
    current connection began, `replaced` the last that a connection replaced here can have received,
    and `left_at` the last that its latest connection has certainly received.

    `resume_window` is how long it may be silent, in seconds, and `silent_until` the loop's time
    until then, None while it is connected. It `is_resumable` if it had an earlier connection to
    this node, and `is_foreign` if another node has left its subscriptions in the registry.
    """

    __slots__ = (
        "_owner",
        "app_id",
        "begun",
        "claims",
        "connection",
        "device_id",
        "due",
        "floor",
        "holders",
        "is_foreign",
        "is_live",
        "is_resumable",
        "left_at",
        "lock",
        "replaced",
        "resume_window",
        "silent_until",
        "subscriptions",
    )

    def __init__(self, app_id: str, device_id: str, owner: SilenceOwner) -> None:
        self.app_id = app_id
        self.device_id = device_id
        self.claims: TokenClaims | None = None
        self.connection: Connection | None = None
        self.subscriptions: dict[str, HeldSubscription] = {}
        self.silent_until: float | None = None
        self.floor = 0
        self.begun = 0
        self.replaced = 0
        self.resume_window = 0.0
        self.is_live = False
        self.is_resumable = False
        self.is_foreign = False
        self.left_at = NOT_LIVE
        self.lock = asyncio.Lock()
        self.holders = 0
        self.due = inf
        self._owner = owner

    @property
    def is_vacant(self) -> bool:
        """Whether this node need not remember it any more."""
        return self.connection is None and self.silent_until is None

    @property
    def is_persistent(self) -> bool:
        """Whether its events are pushed while it is away."""
        return any(held.subscription.is_persistent for held in self.subscriptions.values())

    @property
    def is_rerouted(self) -> bool:
        """Whether a subscription has changed since it came here, so that it must be read again."""
        return any(held.since < self.floor for held in self.subscriptions.values())

    def served(self) -> list[Subscription]:
        """Return its subscriptions."""
        return [held.subscription for held in self.subscriptions.values()]

    def kept(self) -> list[str]:
        """Return the channels that end unless it resumes."""
        return [
            channel
            for channel, held in self.subscriptions.items()
            if held.is_kept and not held.subscription.is_persistent
        ]

    @property
    def has_kept(self) -> bool:
        """Whether channels of its former connection continue, which it must read again."""
        return any(
            held.is_kept and held.subscription.is_persistent for held in self.subscriptions.values()
        )

    def on_deadline(self, now: float) -> float:
        """End the silence if its time is over."""
        if self.silent_until is None:
            return inf
        if now < self.silent_until:
            return self.silent_until
        self._owner.silence_is_over(self)
        return inf


class DeviceView(msgspec.Struct, frozen=True):
    """A device as other packages see it. If it is not `is_live`, it learns of changes by a resync.

    If it is not `is_connected` either, it may have moved to another node.
    """

    app_id: str
    device_id: str
    claims: TokenClaims | None
    subscriptions: tuple[Subscription, ...]
    is_connected: bool
    is_live: bool
