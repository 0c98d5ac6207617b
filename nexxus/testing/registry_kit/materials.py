"""What the tests of a registry are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec
import pytest

from nexxus.domain.channels import Descriptor, Route, Subscription, channel_of
from nexxus.domain.operations import Fate
from nexxus.interfaces.registry import (
    PARTITIONS,
    Device,
    DuePush,
    Presence,
    Registry,
    RouteChanges,
    Session,
)

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

TRANSPORT = "websockets"


def new_app() -> str:
    """The id of an application that nobody else uses."""
    return f"kit-{uuid4().hex}"


def new_node() -> str:
    """The id of a node that nobody else uses."""
    return f"node-{uuid4().hex}"


def session_of(app_id: str, device_id: str, **changes: object) -> Session:
    """A live session of generation 0 for a device; its id is derived from the device's."""
    session = Session(
        id=f"session-{device_id}",
        app_id=app_id,
        device_id=device_id,
        user_id="u1",
        generation=0,
        refresh_hash="0" * 64,
        rotated_at=1_700_000_000.25,
        expires_at=int(time.time()) + 3600,
    )
    return msgspec.structs.replace(session, **changes)


def route_to(app_id: str, model: str = "task", name: str = "all", audience: str = "") -> Route:
    """A route to a channel of a model; `audience` tells those of one channel apart."""
    key = f"nxx:subscription:{app_id}:{model}:filter:{name}{audience and '#'}{audience}"
    access = {"userId": {"eq": audience}} if audience else None
    return Route(key, app_id, Descriptor(model, filter={"status": {"eq": name}}), access)


def subscription_to(
    route: Route,
    device_id: str,
    narrowing_from: Route | None = None,
    *,
    is_persistent: bool = False,
) -> Subscription:
    """A device's subscription that is routed so."""
    return Subscription(
        route.app_id,
        device_id,
        channel_of(route.key),
        route.descriptor,
        route,
        narrowing_from,
        is_persistent=is_persistent,
    )


def persistent(route: Route, device_id: str) -> Subscription:
    """A persistent device's subscription that is routed so."""
    return subscription_to(route, device_id, is_persistent=True)


async def away_from(registry: Registry, route: Route) -> list[str]:
    """The devices that are away and subscribe to a route, of all partitions."""
    name = (route.app_id, route.descriptor.model, route.key)
    pages = [await registry.subscriptions.away(*name, part) for part in range(PARTITIONS)]
    return sorted(device_id for page in pages for device_id in page)


async def has_away(registry: Registry, route: Route) -> bool | None:
    """Whether transport managers learn that a route has away devices; None without the route."""
    changes = await registry.subscriptions.routes(route.app_id, route.descriptor.model, 0)
    return {state.route.key: state.has_away for state in changes.states}.get(route.key)


def applied(app_id: str, operation_id: str, version: int = 1) -> Fate:
    """The fate of an operation that was applied."""
    return Fate(app_id, operation_id, "applied", "user:u1", version)


def nodes_by_key(changes: RouteChanges) -> dict[str, set[tuple[str, str]]]:
    """Routing key → the nodes that it is said to have; fails when a key is said twice."""
    told = {state.route.key: set(state.nodes) for state in changes.states}
    assert len(told) == len(changes.states)
    return told


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - a registry does not tell
            await asyncio.sleep(0.02)


async def take_all(
    registry: Registry, app_id: str, count: int, *, lease: float = 3600
) -> list[DuePush]:
    """Wait until so many devices of an application were taken, and return them."""
    taken: list[DuePush] = []

    async def is_enough() -> bool:
        due = await registry.pushes.take(100, lease=lease)
        taken.extend(each for each in due if each.app_id == app_id)
        return len(taken) >= count

    await eventually(is_enough)
    return taken


async def fill(registry: Registry, app_id: str) -> None:
    """Give the application one of everything."""
    await registry.devices.put(Device("d1", app_id, "phone", "u1"))
    await registry.sessions.put(session_of(app_id, "d1"))
    await registry.claims.claim(app_id, "scope", "k", b"value", 60)
    await registry.counters.hit(app_id, "s", "k", 60)
    await registry.fates.put([applied(app_id, "o1")])
    await registry.presence.connect(Presence(app_id, "d1", "n1", TRANSPORT, "c1"))
    await registry.subscriptions.put(subscription_to(route_to(app_id), "d1"), TRANSPORT, "n1")


async def assert_is_full(registry: Registry, app_id: str) -> None:
    """Fail unless everything that `fill` gave is there; counts one hit more."""
    assert await registry.devices.get(app_id, "d1") is not None
    assert await registry.sessions.get(app_id, "session-d1") is not None
    assert await registry.claims.claim(app_id, "scope", "k", b"late", 60) == b"value"
    assert await registry.counters.hit(app_id, "s", "k", 60) == 2
    assert await registry.fates.get(app_id, "o1") == applied(app_id, "o1")
    assert await registry.presence.get(app_id, "d1") is not None
    assert len(await registry.subscriptions.of_device(app_id, "d1")) == 1
    assert set(nodes_by_key(await registry.subscriptions.routes(app_id, "task", 0))) == {
        route_to(app_id).key
    }


class AnyRegistry:
    """What every part of the kit has at hand."""

    @pytest.fixture
    def app(self) -> str:
        return new_app()

    async def reopen(self, registry: Registry) -> Registry:
        """Close the registry and open another on the same storage."""
        raise NotImplementedError("a registry survives a restart: override `reopen`")
