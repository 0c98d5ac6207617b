"""A resident: a device that this node serves, connected or silent, with its subscriptions.

A device is *live* when its events go to its connection. It is *silent* between two connections,
within the resume window, and *pending* when it has registered and has yet to say whether it
resumes: then, too, its events are only remembered, and follow in order once it has chosen.
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
"""In the place of a sequence number: the connection was lost before events went to it."""


class HeldSubscription:
    """A subscription as this node serves it.

    Its events count after the log's `since`. It `is_kept` when a lost connection left it behind:
    then it ends unless the device resumes. One that was handed over by another node has what was
    `replayed` then: the last `Delivery.moment` of each object.
    """

    __slots__ = ("is_kept", "replayed", "since", "subscription")

    def __init__(self, subscription: Subscription, since: int, *, is_kept: bool) -> None:
        self.subscription = subscription
        self.since = since
        self.is_kept = is_kept
        self.replayed: dict[str, int] | None = None

    def routing_keys(self) -> tuple[str, ...]:
        """The routing keys that its events come under."""
        former = self.subscription.narrowing_from
        key = self.subscription.route.key
        return (key,) if former is None else (key, former.key)


class SilenceOwner(Protocol):
    """Ends a silence."""

    def silence_is_over(self, device: Resident) -> None:
        """The device has been silent for as long as its subscriptions are kept."""
        ...


class Resident:
    """A device that this node serves. It is changed over an await only within `Residents.hold`.

    `floor` is the least sequence number that it may resume from, `begun` the one with which its
    present connection began, `replaced` the last one that a connection which was replaced here
    can have seen. `resume_window` is how long it may be silent. `is_resumable` says that a
    connection to this node came before; `is_foreign` that its subscriptions were found in the
    registry, left by another node. `silent_until` is the loop's time, None when connected.
    `left_at` is the sequence number up to which its latest connection surely brought everything.
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
        """Whether nothing is left to know about it."""
        return self.connection is None and self.silent_until is None

    @property
    def is_persistent(self) -> bool:
        """Whether it is pushed to while it is away."""
        return any(held.subscription.is_persistent for held in self.subscriptions.values())

    @property
    def is_rerouted(self) -> bool:
        """Whether a subscription has changed since it came here, so that it must be read anew."""
        return any(held.since < self.floor for held in self.subscriptions.values())

    def served(self) -> list[Subscription]:
        """Return its subscriptions."""
        return [held.subscription for held in self.subscriptions.values()]

    def kept(self) -> list[str]:
        """The channels that end unless it resumes."""
        return [
            channel
            for channel, held in self.subscriptions.items()
            if held.is_kept and not held.subscription.is_persistent
        ]

    @property
    def has_kept(self) -> bool:
        """Whether channels of its former connection go on, which it has to read anew."""
        return any(
            held.is_kept and held.subscription.is_persistent for held in self.subscriptions.values()
        )

    def on_deadline(self, now: float) -> float:
        """The silence may be over."""
        if self.silent_until is None:
            return inf
        if now < self.silent_until:
            return self.silent_until
        self._owner.silence_is_over(self)
        return inf


class DeviceView(msgspec.Struct, frozen=True):
    """A device as others may see it. One that is not `is_live` hears of changes by a resync.

    One that is not `is_connected` either may have gone to another node.
    """

    app_id: str
    device_id: str
    claims: TokenClaims | None
    subscriptions: tuple[Subscription, ...]
    is_connected: bool
    is_live: bool
