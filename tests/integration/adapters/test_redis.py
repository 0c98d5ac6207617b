"""Redis when things go wrong: killed, emptied, full, read-only, rearranged; nodes that race."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from redis_server import new_redis_prefix, running_redis, running_redis_cluster
from services.redis import RedisClusterServer, RedisServer
from waiting import eventually

from nexxus.adapters.redis.keys import Keys
from nexxus.adapters.redis.registry import RedisRegistry
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.errors import ConfigurationError, ServiceUnavailable, StartupError
from nexxus.interfaces.registry import Node, Presence, Session
from nexxus.testing.journal import Journal
from nexxus.testing.registry_kit import (
    TRANSPORT,
    new_app,
    new_node,
    nodes_by_key,
    route_to,
    session_of,
    subscription_to,
)

OpenRegistry = Callable[..., Any]


@pytest.fixture
def settings(redis_server: RedisServer) -> RedisSettings:
    return RedisSettings(url=redis_server.url, prefix=new_redis_prefix())


@pytest.fixture
async def open_registry() -> AsyncIterator[OpenRegistry]:
    """Opens registries, as the nodes of an installation would; closes them at the end."""
    async with AsyncExitStack() as stack:

        async def opened(settings: RedisSettings) -> RedisRegistry:
            registry = RedisRegistry(settings, logger=Journal())
            await registry.open()
            stack.push_async_callback(registry.close)
            return registry

        yield opened


@pytest.fixture(params=["single", "cluster"])
async def two(
    request: pytest.FixtureRequest, open_registry: OpenRegistry
) -> tuple[RedisRegistry, RedisRegistry]:
    """The registries of two nodes, on a single server and on a cluster."""
    server = request.getfixturevalue(
        "redis_server" if request.param == "single" else "redis_cluster"
    )
    settings = RedisSettings(
        url=server.url, prefix=new_redis_prefix(), cluster=request.param == "cluster"
    )
    return await open_registry(settings), await open_registry(settings)


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[Redis]:
    """Redis without us in between."""
    async with Redis(port=port) as client:
        yield client


async def answers(registry: RedisRegistry) -> bool:
    try:
        await registry.ping()
    except ServiceUnavailable:
        return False
    return True


async def fill(registry: RedisRegistry, app: str, node: Node) -> Session:
    """A session, a claim, a presence and a subscription."""
    session = session_of(app, "d1")
    await registry.sessions.put(session)
    await registry.claims.claim(app, "scope", "k", b"value", 3600)
    await registry.nodes.announce(node, 60)
    await registry.presence.connect(Presence(app, "d1", node.id, TRANSPORT, "c1"))
    await registry.subscriptions.put(subscription_to(route_to(app), "d1"), TRANSPORT, node.id)
    return session


# Two nodes


async def test_of_two_nodes_that_rotate_a_session_one_wins(
    two: tuple[RedisRegistry, RedisRegistry],
) -> None:
    app = new_app()
    session = session_of(app, "d1")
    await two[0].sessions.put(session)
    for generation in range(1, 20):
        candidates = [
            msgspec.structs.replace(session, generation=generation, refresh_hash=f"{number:064}")
            for number in (0, 1)
        ]
        won = await asyncio.gather(
            *(
                registry.sessions.rotate(each, expected_generation=generation - 1)
                for registry, each in zip(two, candidates, strict=True)
            )
        )
        assert sorted(won) == [False, True]
        winner = candidates[won.index(True)]
        for registry in two:
            assert await registry.sessions.get(app, session.id) == winner


async def test_of_two_nodes_that_claim_one_wins(two: tuple[RedisRegistry, RedisRegistry]) -> None:
    app = new_app()
    for number in range(20):
        outcomes = await asyncio.gather(
            *(registry.claims.claim(app, "s", f"{number}", b"same", 60) for registry in two)
        )
        assert set(outcomes) == {None, b"same"}


async def test_a_device_that_connects_to_two_nodes_is_held_by_one_and_the_other_is_told(
    two: tuple[RedisRegistry, RedisRegistry],
) -> None:
    app = new_app()
    for number in range(20):
        presences = [Presence(app, f"d{number}", f"n{each}", TRANSPORT, "c") for each in (0, 1)]
        replaced = await asyncio.gather(
            *(
                registry.presence.connect(each)
                for registry, each in zip(two, presences, strict=True)
            )
        )
        holder = await two[0].presence.get(app, f"d{number}")
        assert [each for each in replaced if each is not None] == [
            each for each in presences if each != holder
        ]


async def test_a_dead_node_is_swept_by_one_of_many_who_look(
    two: tuple[RedisRegistry, RedisRegistry],
) -> None:
    app = new_app()
    dead = [new_node() for _ in range(3)]
    for number, node in enumerate(dead):
        await two[0].nodes.announce(Node(node, ("gateway",)), 0.001)
        for device in range(20):
            device_id = f"d{number}-{device}"
            await two[0].presence.connect(Presence(app, device_id, node, TRANSPORT, "c"))
            await two[0].subscriptions.put(
                subscription_to(route_to(app), device_id), TRANSPORT, node
            )
    swept: list[str] = []

    async def are_swept() -> bool:
        for each in await asyncio.gather(*(registry.nodes.sweep() for registry in (*two, *two))):
            swept.extend(each)
        return len(swept) >= len(dead)

    await eventually(are_swept)
    assert sorted(swept) == sorted(dead)
    assert nodes_by_key(await two[1].subscriptions.routes(app, "task", 0)) == {}
    assert await two[1].presence.get(app, "d0-0") is None
    assert await two[1].nodes.sweep() == []


async def test_a_route_that_one_node_made_is_seen_by_the_other_at_once(
    two: tuple[RedisRegistry, RedisRegistry],
) -> None:
    app = new_app()
    one, other = two
    version = 0
    for number in range(20):
        route = route_to(app, name=f"{number}")
        await one.subscriptions.put(subscription_to(route, "d1"), TRANSPORT, "n1")
        present = await other.subscriptions.routes_version(app, "task")
        assert present > version
        told = nodes_by_key(await other.subscriptions.routes(app, "task", version))
        assert told == {route.key: {(TRANSPORT, "n1")}}
        version = present


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


# Dead nodes


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


# Away, and back


async def test_a_redis_that_was_killed_is_a_503_soon_and_comes_back_with_what_it_had(
    tmp_path_factory: pytest.TempPathFactory, open_registry: OpenRegistry
) -> None:
    app, node = new_app(), Node(new_node(), ("gateway",))
    with running_redis(tmp_path_factory, persistence="always") as server:
        registry = await open_registry(RedisSettings(url=server.url))
        session = await fill(registry, app, node)
        version = await registry.subscriptions.routes_version(app, "task")
        assert await registry.nodes.announce(node, 60)

        server.kill()
        for _ in range(3):
            with pytest.raises(ServiceUnavailable, match="cannot be reached"):
                await registry.sessions.get(app, session.id)

        server.start()
        assert await registry.sessions.get(app, session.id) == session
        assert await registry.claims.claim(app, "scope", "k", b"late", 60) == b"value"
        assert await registry.subscriptions.routes_version(app, "task") == version
        assert not await registry.nodes.announce(node, 60), "the last second may be missing"
        assert await registry.nodes.announce(node, 60)


async def test_a_redis_that_comes_back_empty_says_so_and_counts_on_from_above(
    tmp_path_factory: pytest.TempPathFactory, open_registry: OpenRegistry
) -> None:
    app, node = new_app(), Node(new_node(), ("gateway",))
    with running_redis(tmp_path_factory) as server:
        registry = await open_registry(RedisSettings(url=server.url))
        session = await fill(registry, app, node)
        version = await registry.subscriptions.routes_version(app, "task")
        server.kill()
        server.start()

        assert await registry.sessions.get(app, session.id) is None
        assert await registry.subscriptions.routes_version(app, "task") == 0
        changes = await registry.subscriptions.routes(app, "task", version)
        assert (changes.complete, changes.states) == (True, [])
        assert not await registry.nodes.announce(node, 60)
        route = route_to(app, name="another")
        await registry.subscriptions.put(subscription_to(route, "d1"), TRANSPORT, node.id)
        assert await registry.subscriptions.routes_version(app, "task") > version
        changes = await registry.subscriptions.routes(app, "task", version)
        assert changes.complete
        assert nodes_by_key(changes).keys() == {route.key}
        assert await registry.nodes.announce(node, 60)


@pytest.mark.parametrize("victim", [0, 1, 2])
async def test_a_cluster_of_which_a_part_has_lost_its_data_says_so(
    redis_cluster: RedisClusterServer, open_registry: OpenRegistry, victim: int
) -> None:
    registry = await open_registry(
        RedisSettings(url=redis_cluster.url, prefix=new_redis_prefix(), cluster=True)
    )
    node = Node(new_node(), ("gateway",))
    assert not await registry.nodes.announce(node, 60)
    assert await registry.nodes.announce(node, 60)
    async with raw(redis_cluster.ports[victim]) as redis:
        await redis.flushall()
    assert not await registry.nodes.announce(node, 60)
    assert await registry.nodes.announce(node, 60)


async def test_a_cluster_that_was_killed_comes_back_with_what_it_had(
    tmp_path_factory: pytest.TempPathFactory, open_registry: OpenRegistry
) -> None:
    app, node = new_app(), Node(new_node(), ("gateway",))
    with running_redis_cluster(tmp_path_factory, persistence="always") as server:
        registry = await open_registry(RedisSettings(url=server.url, cluster=True))
        session = await fill(registry, app, node)
        server.kill()
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                await registry.sessions.get(app, session.id)
        server.start()
        await eventually(lambda: answers(registry))
        assert await registry.sessions.get(app, session.id) == session
        assert await registry.claims.claim(app, "scope", "k", b"late", 60) == b"value"
        assert len(await registry.subscriptions.of_device(app, "d1")) == 1
        assert not await registry.nodes.announce(node, 60)


async def test_a_redis_that_hangs_is_a_503_when_the_time_is_up(
    tmp_path_factory: pytest.TempPathFactory, open_registry: OpenRegistry
) -> None:
    with running_redis(tmp_path_factory) as server:
        registry = await open_registry(RedisSettings(url=server.url, timeout=0.2))
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ServiceUnavailable, match=r"no answer within 0\.2 s"):
                await registry.ping()
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await eventually(lambda: answers(registry))


async def test_a_full_redis_takes_nothing_new_but_lets_go_and_keeps_the_nodes_alive(
    tmp_path_factory: pytest.TempPathFactory, open_registry: OpenRegistry
) -> None:
    app, node = new_app(), Node(new_node(), ("gateway",))
    with running_redis(tmp_path_factory) as server:
        registry = await open_registry(RedisSettings(url=server.url))
        session = await fill(registry, app, node)
        async with raw(server.port) as redis:
            await redis.config_set("maxmemory", 1)

            full = "maxmemory"
            with pytest.raises(ServiceUnavailable, match=full):
                await registry.sessions.put(session_of(app, "d2"))
            with pytest.raises(ServiceUnavailable, match=full):
                await registry.subscriptions.put(
                    subscription_to(route_to(app, name="b"), "d1"), TRANSPORT, node.id
                )
            with pytest.raises(ServiceUnavailable, match=full):
                await registry.counters.hit(app, "s", "k", 60)
            assert await registry.sessions.get(app, session.id) == session
            assert len((await registry.subscriptions.routes(app, "task", 0)).states) == 1
            assert await registry.nodes.announce(node, 60)
            assert await registry.nodes.alive() == [node]
            rotated = msgspec.structs.replace(session, generation=1)
            assert await registry.sessions.rotate(rotated, expected_generation=0)
            await registry.subscriptions.remove(app, "d1", [route_to(app).key])
            await registry.presence.disconnect(Presence(app, "d1", node.id, TRANSPORT, "c1"))
            assert await registry.sessions.end(app, session.id) == rotated
            await registry.nodes.retire(node.id)
            assert (await registry.subscriptions.routes(app, "task", 0)).states == []

            await redis.config_set("maxmemory", "100mb")
        assert await registry.sessions.put(session) is None


async def test_a_replica_is_refused_with_the_reason_until_it_is_the_primary(
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    open_registry: OpenRegistry,
) -> None:
    with running_redis(tmp_path_factory) as server:
        registry = await open_registry(RedisSettings(url=server.url))
        async with raw(server.port) as redis:
            await redis.execute_command("REPLICAOF", "127.0.0.1", redis_server.port)

            async def is_refused() -> bool:
                with pytest.raises(ServiceUnavailable) as refusal:
                    await registry.claims.claim("a", "s", "k", b"", 60)
                return "read-only replica" in refusal.value.message

            await eventually(is_refused)
            await redis.execute_command("REPLICAOF", "NO", "ONE")
        assert await registry.claims.claim(new_app(), "s", "k", b"", 60) is None


async def test_a_slot_that_moves_to_another_node_is_followed(
    redis_cluster: RedisClusterServer, open_registry: OpenRegistry
) -> None:
    registry = await open_registry(
        RedisSettings(url=redis_cluster.url, prefix=new_redis_prefix(), cluster=True)
    )
    app = new_app()
    session = session_of(app, "d1")
    await registry.sessions.put(session)
    key = registry._keys.session(app, session.id)
    slot = key_slot(key.encode())
    source = slot * 3 // 16_384
    source_port = redis_cluster.ports[source]
    target_port = redis_cluster.ports[(source + 1) % 3]
    async with raw(source_port) as old, raw(target_port) as new:
        old_id, new_id = [await each.execute_command("CLUSTER MYID") for each in (old, new)]
        try:
            await new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
            await old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
            await old.migrate("127.0.0.1", target_port, key, 0, 5_000)
            assert await registry.sessions.get(app, session.id) == session
            rotated = msgspec.structs.replace(session, generation=1)
            assert await registry.sessions.rotate(rotated, expected_generation=0)
            for each in (new, old):
                await each.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)
            assert await registry.sessions.get(app, session.id) == rotated
        finally:
            await registry.sessions.end(app, session.id)
            for each in (old, new):
                await each.execute_command("CLUSTER SETSLOT", slot, "NODE", old_id)


# Wrong from the start


async def test_a_redis_that_is_not_there_may_be_waited_for(
    redis_server: RedisServer, open_registry: OpenRegistry
) -> None:
    for cluster in (False, True):
        with pytest.raises(ServiceUnavailable, match="cannot be reached"):
            await open_registry(RedisSettings(url="redis://127.0.0.1:1", cluster=cluster))


async def test_a_wrong_password_a_wrong_mode_and_a_wrong_url_are_told_at_the_start(
    redis_server: RedisServer, redis_cluster: RedisClusterServer, open_registry: OpenRegistry
) -> None:
    host = f"127.0.0.1:{redis_server.port}"
    with pytest.raises(StartupError, match="refuses the user or password"):
        await open_registry(RedisSettings(url=f"redis://nobody:wrong@{host}/0"))
    with pytest.raises(StartupError, match="not a cluster"):
        await open_registry(RedisSettings(url=redis_server.url, cluster=True))
    with pytest.raises(StartupError, match="cluster = true"):
        await open_registry(RedisSettings(url=f"redis://127.0.0.1:{redis_cluster.port}"))
    with pytest.raises(ConfigurationError, match="cluster = true"):
        await open_registry(RedisSettings(url=redis_cluster.url))


async def test_the_servers_data_is_refused_to_a_registry_that_is_closed(
    settings: RedisSettings,
) -> None:
    registry = RedisRegistry(settings, logger=Journal())
    with pytest.raises(ServiceUnavailable, match="closed"):
        await registry.sessions.get("a", "s")
