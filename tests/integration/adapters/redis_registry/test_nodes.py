"""Nodes that race on one Redis, and nodes that died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis_server import raw
from services.redis import RedisServer
from waiting import eventually

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.registry import RedisRegistry
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.interfaces.registry import Node, Presence
from nexxus.testing.registry_kit import (
    TRANSPORT,
    new_app,
    new_node,
    nodes_by_key,
    route_to,
    subscription_to,
)

OpenRegistry = Callable[..., Any]


async def test_more_routes_than_are_read_at_once_are_told_all_even_while_they_change(
    two: tuple[RedisRegistry, RedisRegistry],
) -> None:
    app = new_app()
    one, other = two
    routes = [route_to(app, name=f"{number}") for number in range(1_100)]
    for start in range(0, len(routes), 50):
        await asyncio.gather(
            *(
                one.subscriptions.put(subscription_to(route, "d1"), TRANSPORT, "n1")
                for route in routes[start : start + 50]
            )
        )

    async def change() -> None:
        for route in routes[:100]:
            await one.subscriptions.put(subscription_to(route, "d2"), TRANSPORT, "n2")

    changes, _ = await asyncio.gather(other.subscriptions.routes(app, "task", 0), change())
    assert changes.complete
    known = nodes_by_key(changes)
    assert known.keys() == {route.key for route in routes}
    known |= nodes_by_key(await other.subscriptions.routes(app, "task", changes.version))
    assert all(known[route.key] == {(TRANSPORT, "n1"), (TRANSPORT, "n2")} for route in routes[:100])
    assert all(known[route.key] == {(TRANSPORT, "n1")} for route in routes[100:])


async def test_a_channels_devices_lie_in_sixteen_sets(
    redis_server: RedisServer, settings: RedisSettings, open_registry: OpenRegistry
) -> None:
    registry, app = await open_registry(settings), new_app()
    for number in range(100):
        await registry.subscriptions.put(
            subscription_to(route_to(app), f"d{number}"), TRANSPORT, "n1"
        )
    channel = subscription_to(route_to(app), "d1").channel_id
    async with raw(redis_server.port) as redis:
        names = [key async for key in redis.scan_iter(f"{settings.prefix}:*:partition:*")]
        sets = [await redis.smembers(name) for name in names]
    assert all(f":{channel}:partition:".encode() in name for name in names)
    assert len(names) == 16
    assert sum(map(len, sets)) == 100
    assert set().union(*sets) == {f"d{number}".encode() for number in range(100)}


async def test_a_sweep_that_was_cut_off_is_taken_over_when_its_lease_ends(
    redis_server: RedisServer, settings: RedisSettings, open_registry: OpenRegistry
) -> None:
    one, other = await open_registry(settings), await open_registry(settings)
    app, node = new_app(), new_node()
    for number in range(300):
        await one.presence.connect(Presence(app, f"d{number}", node, TRANSPORT, "c"))
    for number in range(60):
        await one.subscriptions.put(subscription_to(route_to(app), f"d{number}"), TRANSPORT, node)
    await one.nodes.announce(Node(node, ("gateway",)), 0.001)
    # What a sweeper does that dies after its first step:
    taken = await eventually(one.nodes.take_dead)
    assert taken == node
    assert await one.presence.retire_some(node, 200)

    assert await other.nodes.sweep() == []
    assert await other.nodes.alive() == []
    async with raw(redis_server.port) as redis:
        await redis.zadd(Keys(settings.prefix).nodes("retiring"), {node: 1})
    assert await other.nodes.sweep() == [node]
    assert await one.presence.get(app, "d299") is None
    assert nodes_by_key(await one.subscriptions.routes(app, "task", 0)) == {}


async def test_a_node_that_comes_back_while_it_is_swept_is_left_alone_and_puts_back_what_went(
    settings: RedisSettings, open_registry: OpenRegistry
) -> None:
    registry, app = await open_registry(settings), new_app()
    node = Node(new_node(), ("gateway",))
    await registry.nodes.announce(node, 0.001)
    assert await eventually(registry.nodes.take_dead) == node.id

    assert not await registry.nodes.announce(node, 60)
    assert not await registry.nodes.hold(node.id), "the sweeper stops"
    presence = Presence(app, "d1", node.id, TRANSPORT, "c")
    await registry.presence.connect(presence)

    assert not await registry.nodes.announce(node, 60), "the sweeper's last step is put back too"
    assert await registry.nodes.announce(node, 60)
    assert await registry.nodes.sweep() == []
    assert await registry.presence.get(app, "d1") == presence
    assert await registry.nodes.alive() == [node]


async def test_what_a_sweeper_removed_before_it_stopped_is_announced_as_forgotten(
    settings: RedisSettings, open_registry: OpenRegistry
) -> None:
    registry, sweeper = await open_registry(settings), await open_registry(settings)
    app, node = new_app(), Node(new_node(), ("gateway",))
    held = subscription_to(route_to(app), "d1")
    await registry.nodes.announce(node, 0.001)
    await registry.subscriptions.put(held, TRANSPORT, node.id)
    assert await eventually(sweeper.nodes.take_dead) == node.id

    assert not await registry.nodes.announce(node, 60)
    await registry.subscriptions.put(held, TRANSPORT, node.id)
    served = await sweeper.subscriptions.find_served(node.id)
    assert served is not None
    await sweeper.subscriptions.retire_some(node.id, *served[:3])
    assert not await sweeper.nodes.hold(node.id)

    assert await registry.subscriptions.of_device(app, "d1") == []
    assert not await registry.nodes.announce(node, 60)


async def test_a_subscription_under_way_when_its_device_is_removed_can_be_removed_too(
    settings: RedisSettings, open_registry: OpenRegistry
) -> None:
    registry, other = await open_registry(settings), await open_registry(settings)
    app = new_app()
    held = subscription_to(route_to(app), "d1")
    # Of a subscription what comes before the step that counts, then all of the removal.
    run, reached, removed = other._link.run, asyncio.Event(), asyncio.Event()

    async def wait_then_run(*arguments: Any) -> Any:
        reached.set()
        await removed.wait()
        return await run(*arguments)

    other._link.run = wait_then_run  # type: ignore[method-assign]
    subscribing = asyncio.create_task(other.subscriptions.put(held, TRANSPORT, "n1"))
    await reached.wait()
    await registry.devices.delete(app, ["d1"])
    removed.set()
    await subscribing

    await registry.subscriptions.remove(app, "d1", [held.channel_id])
    assert nodes_by_key(await registry.subscriptions.routes(app, "task", 0)) == {}
