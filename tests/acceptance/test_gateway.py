"""Contract §6: the WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, replace, unique
from connection import Connection
from documents import open_application, signed_application
from raw_websocket import open_raw, read_frame, text_frame
from server import Endpoint
from waiting import eventually

contract = partial(pytest.mark.contract, "6. WebSocket")


@pytest.fixture
async def open_connection(endpoint: Endpoint) -> AsyncIterator[Callable[..., Any]]:
    connections: list[Connection] = []

    async def make(url: str | None = None, **options: Any) -> Connection:
        connections.append(await Connection.open(url or endpoint.ws_url, **options))
        return connections[-1]

    yield make
    for connection in connections:
        await connection.close()


def is_error(code: str) -> Callable[[Any], bool]:
    return lambda f: f["event"] == "error" and f["data"]["code"] == code


# Registering


@contract("two addresses, one protocol")
@pytest.mark.parametrize("port", ["gateway", "api"])
async def test_a_connection_registers_on_either_port(
    client: NexxusClient, endpoint: Endpoint, port: str
) -> None:
    url = endpoint.ws_url if port == "gateway" else endpoint.api_ws_url
    await client.connect(url=url)

    view = await client.subscribe("task", limit=5000)
    task = await client.create("task", title="x")
    await client.told(task["id"], 1)
    await client.converged(view)


@contract("registering")
async def test_registering_is_confirmed_with_a_cursor(
    client: NexxusClient, open_connection: Any
) -> None:
    connection = await open_connection()

    await connection.send("register", {"token": client.token})

    frame = await connection.wait_for("register")
    assert frame["data"]["success"] is True
    assert set(frame["data"]) <= {"success", "cursor"}


@contract("registering")
@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "", 7, None])
async def test_registering_with_an_invalid_token_is_an_error_and_may_be_repeated(
    client: NexxusClient, open_connection: Any, token: Any
) -> None:
    connection = await open_connection()

    await connection.send("register", {"token": token})
    await connection.wait_for(is_error("INVALID_PARAMETERS"))
    await connection.send("register", {"token": client.token})

    await connection.wait_for("register")


@contract("registering")
async def test_a_second_connection_of_a_device_replaces_the_first(
    client: NexxusClient, new_client: Any
) -> None:
    await client.connect()
    twin = new_client(client.app_id)
    twin.token, twin.device_id = client.token, client.device_id

    await twin.connect()

    assert await client.socket.wait_closed() == 4003
    await twin.subscribe("task")
    task = await client.create("task", title="x")
    await twin.told(task["id"], 1)


@contract("registering")
async def test_other_frames_before_register_are_errors(open_connection: Any) -> None:
    connection = await open_connection()

    await connection.send("subscribe", {"model": "task"}, ref="1")
    await connection.send("resume", {"cursor": "x"})

    await eventually(lambda: len(connection.frames) >= 2)
    assert connection.is_open
    for frame in connection.frames:
        if frame["event"] == "reply":
            assert frame["data"]["status"] in (400, 401)
        else:
            assert frame["event"] == "error"


@contract("registering")
@pytest.mark.long
async def test_a_connection_that_never_registers_is_closed(open_connection: Any) -> None:
    connection = await open_connection()

    assert await connection.wait_closed(30) == 1008


# Requests over the socket


@contract("requests with a reply")
async def test_everything_can_be_done_over_the_socket(client: NexxusClient) -> None:
    await client.connect()
    socket = client.socket

    reply = await socket.request("subscribe", {"model": "task", "filter": {"status": "ws"}})
    assert reply["status"] == 200
    assert {"channelId", "items"} <= reply["data"].keys()
    channel = reply["data"]["channelId"]

    task_id = unique("ws")
    reply = await socket.request(
        "create", {"type": "task", "id": task_id, "title": "x", "status": "ws"}
    )
    assert reply["status"] == 202
    assert reply["data"]["id"] == task_id
    frame = await client.told(task_id, 1)
    assert frame["data"]["metadata"]["channels"] == [channel]

    reply = await socket.request(
        "update", {"type": "task", "id": task_id, "patch": replace(points=1), "ifVersion": 1}
    )
    assert reply["status"] == 202
    assert set(reply["data"]) == {"operationId"}
    await client.told(task_id, 2)

    reply = await socket.request("delete", {"type": "task", "id": task_id})
    assert reply["status"] == 202
    await client.told(task_id, 3)

    body = {"model": "task", "filter": {"status": {"$eq": "ws"}}}
    reply = await socket.request("unsubscribe", body)
    assert reply == {"status": 200, "data": {"channel": channel}}
    reply = await socket.request("unsubscribe", body)
    assert reply["status"] == 404


@contract("requests with a reply")
@pytest.mark.parametrize(
    ("event", "data", "status", "error"),
    [
        ("create", {"type": "task"}, 400, "InvalidParametersException"),
        ("create", {"title": "x"}, 400, "InvalidParametersException"),
        ("create", {"type": "ufo"}, 404, "ModelNotFoundException"),
        ("update", {"type": "task", "patch": replace(points=1)}, 400, "InvalidParametersException"),
        ("update", {"type": "task", "id": "x"}, 400, "InvalidParametersException"),
        ("delete", {"type": "task"}, 400, "InvalidParametersException"),
        ("delete", {"type": "task", "id": "x", "y": 1}, 400, "InvalidParametersException"),
        ("subscribe", {"model": "log"}, 400, "InvalidParametersException"),
        ("subscribe", {"model": "ufo"}, 404, "ModelNotFoundException"),
        ("subscribe", None, 400, "InvalidParametersException"),
    ],
)
async def test_a_request_that_fails_is_answered_with_the_error(
    client: NexxusClient, event: str, data: Any, status: int, error: str
) -> None:
    await client.connect()

    reply = await client.socket.request(event, data)

    assert reply["status"] == status
    assert set(reply) == {"status", "error"}
    assert {"error", "message"} <= set(reply["error"]) <= {"error", "message", "details"}
    assert reply["error"]["error"] == error


@contract("a rejected operation is reported to its device")
async def test_an_operation_rejected_by_the_writer_is_reported_to_its_device(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    other = await (await new_client(app).register_device()).connect()
    await client.connect()

    reply = await client.socket.request("delete", {"type": "task", "id": unique("none")})

    frame = await client.wait_for(is_error("OPERATION_REJECTED"))
    assert frame["data"]["operationId"] == reply["data"]["operationId"]
    told = [each["event"] for each in client.socket.frames]
    assert told.index("reply") < told.index("error"), "it names the operation"
    assert set(frame["data"]["error"]) >= {"error", "message"}
    assert frame["data"]["error"]["error"] == "ModelNotFoundException"
    assert other.rejections == {}


# Tokens


@contract("a newer token")
async def test_a_connection_moves_to_a_newer_token_of_its_device(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    await client.connect()
    await client.refresh()

    await client.socket.send("refresh_access_token", {"token": client.token})

    frame = await client.wait_for("refresh_access_token")
    assert frame["data"]["success"] is True
    stranger = await new_client(app).register_device()
    await client.socket.send("refresh_access_token", {"token": stranger.token})
    await client.wait_for("error")
    assert client.socket.is_open


@contract("a newer token")
async def test_a_connection_outlives_its_token_only_with_a_newer_one(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application(session={"jwtExpiresIn": 3}))
    lasting = await (await new_client(app).register_device()).connect()
    fading = await (await new_client(app).register_device()).connect()
    await lasting.subscribe("task")
    await fading.subscribe("task")

    async def keep_alive() -> None:
        while True:
            await asyncio.sleep(1)
            await lasting.refresh()
            await lasting.socket.send("refresh_access_token", {"token": lasting.token})

    keeper = asyncio.create_task(keep_alive())
    try:
        assert await fading.socket.wait_closed() == 4002
        task = await lasting.create("task", title="x")
        await lasting.told(task["id"], 1)
    finally:
        keeper.cancel()


@contract("an ended session")
async def test_a_session_that_ends_closes_the_connection(
    admin: Admin, new_client: Any, open_connection: Any
) -> None:
    app = admin.create(signed_application())
    user = await (await new_client(app).register_user("ann")).connect()

    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})

    assert await user.socket.wait_closed() == 4001
    connection = await open_connection()
    await connection.send("register", {"token": user.token})
    await connection.wait_for(is_error("SESSION_ENDED"))


# Pings


@contract("pings")
@pytest.mark.long
async def test_the_server_pings_within_half_a_minute(
    client: NexxusClient, endpoint: Endpoint
) -> None:
    reader, writer = await open_raw(endpoint.ws_url)
    async with asyncio.timeout(9):
        token = json.dumps({"event": "register", "data": {"token": client.token}})
        writer.write(text_frame(token))
        opcode, _ = await read_frame(reader)
        assert opcode == 1
    async with asyncio.timeout(30):
        opcode, _ = await read_frame(reader)
    assert opcode == 9
    writer.close()
