"""Devices: those that this node serves, connected or silent, with their subscriptions.

A device is *live* when its events go to its connection. It is *silent* between two connections,
within the resume window, and *pending* when it has registered and has yet to say whether it
resumes: then, too, its events are only remembered, and follow in order once it has chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from math import inf
from typing import Final, Protocol

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.delivery.audiences import Audiences
from nexxus.gateway.delivery.delivery_log import DeliveryLog
from nexxus.gateway.seams import TokenClaims

_VISITED_AT_ONCE: Final = 32

NOT_LIVE: Final = -1
"""In the place of a sequence number: the connection was lost before events went to it."""


class Held:
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
    """Whoever ends a silence."""

    def silence_is_over(self, device: LocalDevice) -> None:
        """The device has been silent for as long as its subscriptions are kept."""
        ...


class LocalDevice:
    """A device of this node. Whoever changes it over an await holds it by `DeviceTable.hold`.

    `floor` is the least sequence number that it may resume from, `begun` the one with which its
    present connection began, `replaced` the last one that a connection which was replaced here
    can have seen. `resume_window` is how long it may be silent. `is_resumable` says that a
    connection to this node came before; `is_foreign` that its subscriptions were found in the
    registry, left by another node. `silent_until` is the loop's time, None when connected.
    `left_at` is the sequence number at which its latest connection was lost.
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
        self.subscriptions: dict[str, Held] = {}
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


class DeviceTable:
    """The devices of this node; keeps `Audiences` and the `DeliveryLog` in step with them."""

    def __init__(self, routes: Audiences, log: DeliveryLog, owner: SilenceOwner) -> None:
        self._routes = routes
        self._log = log
        self._owner = owner
        self._devices: dict[tuple[str, str], LocalDevice] = {}

    def find(self, app_id: str, device_id: str) -> LocalDevice | None:
        """The device, if this node knows it."""
        return self._devices.get((app_id, device_id))

    def views(self, app_id: str) -> Iterator[DeviceView]:
        """Every device of an application."""
        for device in list(self._devices.values()):
            if device.app_id == app_id:
                held = tuple(held.subscription for held in device.subscriptions.values())
                yield DeviceView(
                    device.app_id,
                    device.device_id,
                    device.claims,
                    held,
                    is_connected=device.connection is not None,
                    is_live=device.is_live,
                )

    def everybody(self) -> list[LocalDevice]:
        """Every device that this node knows now."""
        return list(self._devices.values())

    async def visit(self, act: Callable[[LocalDevice], Awaitable[None]]) -> None:
        """Await `act` for every device that this node knows now; each is held meanwhile.

        Some at a time: the registry has others to answer. Raises what `act` raises first.
        """

        async def visit_one(known: LocalDevice) -> None:
            async with self.hold(known.app_id, known.device_id) as device:
                if not device.is_vacant:
                    await act(device)

        devices = iter(self.everybody())
        while some := list(islice(devices, _VISITED_AT_ONCE)):
            await asyncio.gather(*map(visit_one, some))

    @asynccontextmanager
    async def hold(self, app_id: str, device_id: str) -> AsyncIterator[LocalDevice]:
        """The device, nobody else's meanwhile; it is forgotten afterwards if it is vacant."""
        device = self._devices.get((app_id, device_id))
        if device is None:
            device = LocalDevice(app_id, device_id, self._owner)
            self._devices[app_id, device_id] = device
        device.holders += 1
        try:
            async with device.lock:
                yield device
        finally:
            device.holders -= 1
            if device.is_vacant and not device.holders:
                self.remove(device, list(device.subscriptions))
                del self._devices[app_id, device_id]

    def install(self, device: LocalDevice, subscription: Subscription, *, is_kept: bool) -> None:
        """Serve a subscription from now on: by the connection, or by the log until it may."""
        held = Held(subscription, self._log.seq, is_kept=is_kept)
        for key in held.routing_keys():
            self._log.hold(key)
        device.subscriptions[subscription.channel_id] = held
        if device.is_live and device.connection is not None:
            self._routes.add(device.connection, subscription, self._log.seq)

    def replace(self, device: LocalDevice, subscription: Subscription) -> None:
        """Serve a channel by other routes. What came before cannot be resumed over it."""
        held = device.subscriptions[subscription.channel_id]
        former_keys = held.routing_keys()
        if device.is_live and device.connection is not None:
            self._routes.remove(device.connection, held.subscription)
            self._routes.add(device.connection, subscription, self._log.seq)
        held.subscription = subscription
        for key in held.routing_keys():
            self._log.hold(key)
        for key in former_keys:
            self._log.release(key)
        device.floor = self._log.advance()

    def remove(self, device: LocalDevice, channels: list[str]) -> None:
        """Serve these channels no more."""
        for channel in channels:
            held = device.subscriptions.pop(channel)
            if device.is_live and device.connection is not None:
                self._routes.remove(device.connection, held.subscription)
            for key in held.routing_keys():
                self._log.release(key)

    def go_live(self, device: LocalDevice) -> None:
        """Let events go to the connection from now on; what was kept is as good as new."""
        if device.is_live or device.connection is None:
            return
        device.is_live = True
        device.is_foreign = False
        for held in device.subscriptions.values():
            held.is_kept = False
            self._routes.add(device.connection, held.subscription, self._log.seq)

    def withdraw(self, device: LocalDevice) -> None:
        """Part the device from its connection; its subscriptions are kept from now on."""
        connection = device.connection
        if connection is None:
            return
        if device.is_live:
            for held in device.subscriptions.values():
                self._routes.remove(connection, held.subscription)
        for held in device.subscriptions.values():
            held.is_kept = True
        device.left_at = self._log.seq if device.is_live else NOT_LIVE
        device.is_live = False
        device.is_resumable = True
        device.connection = None
        connection.device = None
