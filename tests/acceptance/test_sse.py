"""Contract §11.1: server-sent events of a running server, as a shell sees them."""

from __future__ import annotations

import asyncio
import json
import shutil
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from client import Admin
from documents import open_application, signed_application
from event_source import EventSource, Refused
from server import Endpoint
from waiting import PATIENCE

contract = partial(pytest.mark.contract, "11. Transports")


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture(scope="module")
def signed(admin: Admin) -> Any:
    return admin.create(signed_application())


def port_of(endpoint: Endpoint) -> int:
    port = urlsplit(endpoint.url).port
    assert port is not None
    return port


class Curl:
    """``curl -N`` on a stream, block by block."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def block(self) -> dict[str, str]:
        """The fields of the next event; comments and the like are passed over."""
        assert self._process.stdout is not None
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            while True:
                line = (await self._process.stdout.readline()).decode().rstrip("\n")
                if not line and "data" in fields:
                    return fields
                name, _, value = line.partition(": ")
                fields[name] = value

    async def close(self) -> None:
        self._process.terminate()
        await self._process.wait()


async def curl(endpoint: Endpoint, *arguments: str) -> Curl:
    command = shutil.which("curl")
    if command is None:
        pytest.skip("there is no curl")
    process = await asyncio.create_subprocess_exec(
        command, "-sN", *arguments, stdout=asyncio.subprocess.PIPE
    )
    return Curl(process)


@contract("curl -N follows a channel")
async def test_curl_follows_a_channel(endpoint: Endpoint, app: Any, new_client: Any) -> None:
    client = await new_client(app).register_device()
    stream = await curl(
        endpoint,
        *("-H", f"Authorization: Bearer {client.token}"),
        *("-H", f"nxx-app-id: {app['id']}"),
        *("--get", "--data-urlencode", 'subscribe={"model":"note"}'),
        f"{endpoint.url}/sse",
    )

    assert (await stream.block())["event"] == "register"
    subscribed = await stream.block()
    assert subscribed["event"] == "subscribed"
    await client.create("note", text="Milk")
    created = await stream.block()

    assert created["event"] == "model_created"
    data = json.loads(created["data"])
    assert data["model"]["text"] == "Milk"
    assert data["metadata"]["channels"] == [json.loads(subscribed["data"])["channelId"]]
    assert created["id"] == data["metadata"]["cursor"]
    await stream.close()


@contract("the gateway's port serves it, too")
async def test_the_gateways_port_serves_streams(
    endpoint: Endpoint, app: Any, new_client: Any
) -> None:
    client = await new_client(app).register_device()
    ticket = (await client.ok("POST", "/auth/ticket"))["ticket"]
    port = urlsplit(endpoint.ws_url).port
    assert port is not None

    source = await EventSource.open(port, {"ticket": ticket})

    assert (await source.next()).name == "register"
    await source.close()


@contract("a user follows what its role may see")
async def test_a_users_stream_ends_with_its_session(
    endpoint: Endpoint, signed: Any, new_client: Any
) -> None:
    client = new_client(signed)
    await client.register_user("sse-user")
    headers = {"nxx-app-id": signed["id"], "Authorization": f"Bearer {client.token}"}
    source = await EventSource.open(port_of(endpoint), headers=headers)
    await source.next()

    await client.ok("POST", "/auth/logout", {"refreshToken": client.refresh_token})

    close = await source.until("close")
    assert close.data == {"code": 4001, "reason": "logged_out"}
    await source.ended()
    with pytest.raises(Refused) as refused:
        await EventSource.open(port_of(endpoint), headers={**headers, "Last-Event-ID": close.id})
    assert refused.value.status == 204


@contract("POST /auth/ticket needs a session")
async def test_only_a_session_gets_a_ticket(app: Any, signed: Any, new_client: Any) -> None:
    for application in (app, signed):
        client = new_client(application)
        await client.refused("POST", "/auth/ticket", status=401, error="NoAuthPresentException")


@contract("one connection whatever carries it")
async def test_a_newer_connection_over_another_transport_replaces_the_stream(
    endpoint: Endpoint, app: Any, new_client: Any
) -> None:
    client = await new_client(app).register_device()
    headers = {"nxx-app-id": app["id"], "Authorization": f"Bearer {client.token}"}
    source = await EventSource.open(port_of(endpoint), headers=headers)
    await source.next()

    await client.connect()

    close = await source.until("close")
    assert close.data == {"code": 4003, "reason": "replaced"}
    known = await client.ok("GET", "/device")
    assert (known["status"], known["transport"]) == ("online", "websockets")
