"""Redis under a running server: killed, back, back without what it had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from client import Admin, NexxusClient
from connection import Connection
from documents import open_application
from redis import Redis
from redis_server import running_redis
from server import Server
from services.redis import RedisServer
from waiting import eventually


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of the test's own, that loses everything with its process."""
    with running_redis(tmp_path_factory) as server:
        yield server


@asynccontextmanager
async def serving(folder: Path, redis: RedisServer) -> AsyncIterator[tuple[Server, NexxusClient]]:
    """A server on that Redis, and a registered device of an open application."""
    settings = ("--set", "registry.adapter=redis", "--set", f"registry.url={redis.url}")
    server = Server(folder, *settings).start()
    try:
        admin = Admin(server.endpoint)
        app = admin.create(open_application())
        admin.close()
        async with NexxusClient(server.endpoint, app["id"]) as client:
            await client.register_device()
            yield server, client
        assert server.stop() == 0, server.log[-4000:]
    finally:
        server.close()


async def test_without_redis_there_is_a_503_and_with_it_everything_goes_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_redis(tmp_path_factory, persistence="always") as redis:
        async with serving(tmp_path, redis) as (server, client):
            await client.connect()
            view = await client.subscribe("note", limit=100)
            await client.create("note", id="before", text="x")
            redis.kill()

            refused = await client.send("POST", "/model/note", {"id": "during", "text": "x"})
            assert refused.status_code == 503, refused.text
            assert refused.json()["error"] == "ServiceUnavailableException"
            ready = await client.http.get(f"{server.endpoint.url}/readyz")
            assert (ready.status_code, "registry" in ready.text) == (503, True)
            metrics = await client.http.get(f"{server.endpoint.url}/metrics")
            assert 'nexxus_gateway_connections{transport="websockets"} 1.0' in metrics.text

            redis.start()
            created = await client.create("note", id="after", text="x")
            assert created["version"] == 1
            await client.converged(view)
            assert set(view.items) == {"before", "after"}


async def test_a_redis_that_lost_the_routes_is_told_them_again_and_clients_converge(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with serving(tmp_path, redis) as (_, client):
        await client.connect()
        view = await client.subscribe("note", limit=100)
        await client.create("note", id="before", text="x")
        with Redis(port=redis.port) as raw:
            for key in raw.scan_iter("nexxus:*"):
                if b":session:" not in key and not key.endswith((b":record", b":session")):
                    raw.unlink(key)
        # Nobody knows of a subscriber now, so nobody tells it.
        await client.create("note", id="missed", text="x")

        await eventually(lambda: client.resyncs == 1)
        await client.converged(view)
        await client.create("note", id="after", text="x")
        await client.converged(view)
        assert set(view.items) == {"before", "missed", "after"}


async def test_a_redis_that_comes_back_empty_ends_sessions_but_no_connection_goes_unserved(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with serving(tmp_path, redis) as (server, client):
        # Not its own connection: on a resync that would read anew, with a token that has ended.
        connection = await Connection.open(server.endpoint.ws_url)
        await connection.send("register", {"token": client.token})
        await connection.wait_for(lambda frame: frame["event"] == "register")
        reply = await connection.request("subscribe", {"model": "note"})
        redis.kill()
        redis.start()

        resync = await connection.wait_for(lambda frame: frame["event"] == "resync")
        assert resync["data"]["channels"] == [reply["data"]["channelId"]]
        ended = await client.send("GET", "/device")
        assert ended.json()["error"] == "UserTokenExpiredException"
        async with NexxusClient(server.endpoint, client.app_id) as stranger:
            await stranger.create("note", id="after", text="x")
        await connection.wait_for(lambda frame: frame["event"] == "model_created")
        await connection.close()
        await (await client.register_device()).connect()
