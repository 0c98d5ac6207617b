"""Redis when things go wrong: killed, emptied, full, read-only, rearranged; nodes that race."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from redis.crc import key_slot
from redis_server import new_redis_prefix, raw, running_redis, running_redis_cluster
from services.redis import RedisClusterServer, RedisServer
from waiting import eventually

from nexxus.adapters.redis.link import RedisLink
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


# Dead nodes


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


@pytest.mark.parametrize("kind", ["single", "cluster"])
async def test_commands_whose_connection_breaks_are_sent_again(
    kind: str, request: pytest.FixtureRequest
) -> None:
    is_cluster = kind == "cluster"
    server = request.getfixturevalue("redis_cluster" if is_cluster else "redis_server")
    link = RedisLink(RedisSettings(url=server.url, cluster=is_cluster))
    await link.open()
    key = new_redis_prefix()
    ports = server.ports if is_cluster else [server.port]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(link.close)
        servers = [await stack.enter_async_context(raw(port)) for port in ports]

        async def waits() -> bool:
            clients = [client for each in servers for client in await each.client_list()]
            return any(client["cmd"] == "set" for client in clients)

        for each in servers:
            await each.client_pause(20_000, all=False)
        asked = asyncio.create_task(link.batch([("SET", key, "v"), ("GET", key)]))
        await eventually(waits)
        for each in servers:
            await each.client_kill_filter(_type="normal", skipme=True)
            await each.client_unpause()

        assert await asked == [b"OK", b"v"]


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
