"""An operator and the dead letters of a server that works with RabbitMQ."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import httpx2
import pytest
from rabbitmq_server import new_prefix
from server import Server, run_nexxus
from services.rabbitmq import RabbitMQServer

APPLICATION = {"id": "shop", "schema": {"item": {"name": {"type": "string"}}}}


@pytest.fixture
def prefix(rabbitmq_server: RabbitMQServer) -> Iterator[str]:
    with new_prefix(rabbitmq_server) as prefix:
        yield prefix


@pytest.fixture
def server(rabbitmq_server: RabbitMQServer, prefix: str, tmp_path: Path) -> Iterator[Server]:
    settings = {"adapter": "rabbitmq", "url": rabbitmq_server.url, "prefix": prefix}
    environment = {f"NEXXUS_BROKER__{key.upper()}": value for key, value in settings.items()}
    server = Server(tmp_path, **environment)
    try:
        yield server.start()
    finally:
        server.close()


def put_poison(rabbitmq_server: RabbitMQServer, queue: str, *bodies: bytes) -> None:
    async def put() -> None:
        async with await aio_pika.connect(rabbitmq_server.url) as connection:
            channel = await connection.channel()
            for body in bodies:
                await channel.default_exchange.publish(aio_pika.Message(body), queue)

    asyncio.run(put())


def test_an_operator_lists_shows_replays_and_discards(
    rabbitmq_server: RabbitMQServer, prefix: str, server: Server
):
    endpoint = server.endpoint
    options = ("--url", endpoint.url, "--admin-key", endpoint.admin_key)

    def nexxus(*arguments: str) -> str:
        result = run_nexxus("dead", *arguments, *options, cwd=server.folder)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def listed(expected: int) -> list[str]:
        deadline = time.monotonic() + 20
        while len(ids := [each["id"] for each in json.loads(nexxus("list", "--json"))]) != expected:
            assert time.monotonic() < deadline, f"{ids}\n{server.log}"
        return ids

    assert nexxus("list") == "No dead letters.\n"
    put_poison(rabbitmq_server, f"{prefix}.writer.0", b"{}", b'{"event": "model_renamed"}')
    first, second = listed(2)
    assert "cannot be decoded" in nexxus("list", "--queue", "writer")
    assert json.loads(nexxus("show", second))["payload"] == {"event": "model_renamed"}
    assert nexxus("discard", first, "--yes") == "1 discarded.\n"
    for command in (("replay",), ("discard", "--yes")):
        unknown = run_nexxus("dead", *command, "no-such-letter", *options, cwd=server.folder)
        assert unknown.returncode == 1
        assert "name no dead letter" in unknown.stderr
    refused = run_nexxus("dead", "replay", "--all", *options, cwd=server.folder)
    assert refused.returncode == 1
    assert "cannot be decoded, so it cannot be replayed" in refused.stderr
    assert listed(1) == [second]
    assert "a message cannot be decoded" in server.log

    with httpx2.Client(base_url=endpoint.url, headers={"nxx-app-id": "shop"}) as http:
        admin = {"authorization": f"Bearer {endpoint.admin_key}"}
        assert http.post("/admin/applications", json=APPLICATION, headers=admin).is_success
        written = http.post("/model/item", json={"name": "a"}, headers={"prefer": "wait=10"})
        assert written.status_code == 201, written.text
