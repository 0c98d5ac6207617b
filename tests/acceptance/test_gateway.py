"""Contract §6: the WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, replace, unique
from connection import JSON, MSGPACK, Connection
from documents import open_application, signed_application
from raw_websocket import open_raw, read_frame, text_frame
from server import Endpoint
from waiting import eventually

contract = partial(pytest.mark.contract, "6. WebSocket")


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    """A device with a session and no connection."""
    return await new_client(app).register_device()  # type: ignore[no-any-return]


@pytest.fixture
async def open_connection(endpoint: Endpoint) -> AsyncIterator[Callable[..., Any]]:
    connections: list[Connection] = []

    async def make(url: str | None = None, **options: Any) -> Connection:
        connections.append(await Connection.open(url or endpoint.ws_url, **options))
        return connections[-1]

    yield make
    for connection in connections:
        await connection.close()


async def told(client: NexxusClient, object_id: str, version: int) -> Any:
    return await client.wait_for(
        lambda f: (
            f["event"].startswith("model_")
            and f["data"]["model"]["id"] == object_id
            and f["data"]["model"]["version"] == version
        )
    )


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
    await told(client, task["id"], 1)
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
async def test_registering_with_a_token_that_is_none_is_an_error_and_may_be_tried_again(
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
    await told(twin, task["id"], 1)


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


# Frames that make no sense


@contract("frames that make no sense are errors")
@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"register"',
        "{}",
        '{"event": 7}',
        '{"event": "dance"}',
        '{"event": "register"}',
        '{"event": "register", "data": []}',
        '{"event": "register", "data": {"token": "x", "tokn": "y"}}',
        '{"event": "subscribe", "data": {"model": "task"}, "refs": "1"}',
        '{"event": "subscribe", "data": {"model": "task"}, "ref": 1}',
        '{"event": "model_created", "data": {}}',
        "[" * 1000 + "]" * 1000,
    ],
)
async def test_a_frame_that_makes_no_sense_is_an_error_and_the_connection_lives(
    client: NexxusClient, message: str
) -> None:
    await client.connect()

    await client.socket.send_raw(message)

    frame = await client.wait_for("error")
    assert frame["data"]["code"] == "INVALID_PARAMETERS"
    assert frame["data"]["message"]
    await client.subscribe("task", over="socket")


@contract("frames that make no sense are errors")
async def test_a_binary_frame_on_json_is_an_error(client: NexxusClient) -> None:
    await client.connect()

    await client.socket.send_raw(b'{"event": "register", "data": {}}')

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    await client.subscribe("task", over="socket")


@contract("frames that make no sense are errors")
async def test_a_text_frame_on_messagepack_is_an_error(client: NexxusClient) -> None:
    await client.connect(protocol=MSGPACK)

    await client.socket.send_raw('{"event": "register", "data": {}}')

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    await client.subscribe("task", over="socket")


@contract("frames that make no sense are errors")
async def test_a_frame_over_the_limit_closes_the_connection(client: NexxusClient) -> None:
    await client.connect()

    await client.socket.send_raw(json.dumps({"event": "register", "data": "x" * (1 << 20)}))

    assert await client.socket.wait_closed() == 1009


@contract("frames that make no sense are errors")
async def test_an_unknown_key_in_a_subscription_is_named(client: NexxusClient) -> None:
    await client.connect()

    reply = await client.socket.request("subscribe", {"model": "task", "filtr": {"points": 1}})

    assert reply["status"] == 400
    assert reply["error"]["error"] == "InvalidParametersException"
    assert "filtr" in json.dumps(reply["error"])


# Protocols


@contract("two encodings")
@pytest.mark.parametrize("protocol", [None, JSON, MSGPACK])
async def test_a_client_chooses_its_encoding(client: NexxusClient, protocol: str | None) -> None:
    await client.connect(protocol=protocol)
    assert client.socket.socket.subprotocol == protocol
    view = await client.subscribe("task", over="socket", limit=5000)

    task = await client.create("task", title="é", weight=0.1, points=2**53)
    await client.update("task", task["id"], replace(tags=["a"]))
    await client.delete("task", task["id"])

    await told(client, task["id"], 3)
    await client.converged(view)


@contract("two encodings")
async def test_devices_of_both_encodings_follow_one_channel(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    packed = await new_client(app).register_device()
    await client.connect()
    await packed.connect(protocol=MSGPACK)
    await client.subscribe("task")
    await packed.subscribe("task")

    task = await client.create("task", title="x")

    frames = [await told(device, task["id"], 1) for device in (client, packed)]
    assert frames[0]["data"]["model"] == frames[1]["data"]["model"] == task


# Requests over the socket


@contract("requests with a reply")
async def test_everything_can_be_done_over_the_socket(client: NexxusClient) -> None:
    await client.connect()
    socket = client.socket

    reply = await socket.request("subscribe", {"model": "task", "filter": {"status": "ws"}})
    assert reply["status"] == 200
    assert set(reply["data"]) == {"channelId", "items"}
    channel = reply["data"]["channelId"]

    task_id = unique("ws")
    reply = await socket.request(
        "create", {"type": "task", "id": task_id, "title": "x", "status": "ws"}
    )
    assert reply["status"] == 202
    assert reply["data"]["id"] == task_id
    frame = await told(client, task_id, 1)
    assert frame["data"]["metadata"]["channels"] == [channel]

    reply = await socket.request(
        "update", {"type": "task", "id": task_id, "patch": replace(points=1), "ifVersion": 1}
    )
    assert reply["status"] == 202
    assert set(reply["data"]) == {"operationId"}
    await told(client, task_id, 2)

    reply = await socket.request("delete", {"type": "task", "id": task_id})
    assert reply["status"] == 202
    await told(client, task_id, 3)

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


@contract("requests with a reply")
async def test_many_requests_at_once_are_each_answered(client: NexxusClient) -> None:
    await client.connect()

    replies = await asyncio.gather(
        *(client.socket.request("create", {"type": "task", "title": str(n)}) for n in range(50))
    )

    assert {reply["status"] for reply in replies} == {202}
    assert len({reply["data"]["id"] for reply in replies}) == 50


@contract("a rejected operation is told")
async def test_an_operation_that_only_the_writer_can_refuse_is_told_to_its_device(
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
        await told(lasting, task["id"], 1)
    finally:
        keeper.cancel()


@contract("a newer token")
async def test_an_expired_token_cannot_register(
    admin: Admin, new_client: Any, open_connection: Any
) -> None:
    app = admin.create(open_application(session={"jwtExpiresIn": 1}))
    client = await (await new_client(app).register_device()).connect()
    assert await client.socket.wait_closed() == 4002

    connection = await open_connection()
    await connection.send("register", {"token": client.token})

    await connection.wait_for(is_error("TOKEN_EXPIRED"))


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


# Resuming


@contract("resuming")
@pytest.mark.parametrize("orderly", [True, False])
async def test_a_device_that_resumes_gets_what_it_missed_in_order(
    client: NexxusClient, app: Any, new_client: Any, orderly: bool
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    task = await writer.create("task", title="x", points=0)
    await told(client, task["id"], 1)

    await (client.socket.close() if orderly else client.drop())
    for points in range(1, 6):
        await writer.update("task", task["id"], replace(points=points))
    await client.connect(resume=True)

    names = [frame["event"] for frame in client.socket.frames]
    assert names == ["register", *["model_updated"] * 5, "resume"]
    assert client.socket.frames[-1]["data"]["success"] is True
    await writer.update("task", task["id"], replace(points=6))
    await told(client, task["id"], 7)
    assert client.resyncs == view.rereads == 0
    await client.converged(view)


@contract("resuming")
async def test_a_device_that_missed_nothing_resumes_at_once(client: NexxusClient) -> None:
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    await client.drop()

    await client.connect(resume=True)

    assert [frame["event"] for frame in client.socket.frames] == ["register", "resume"]
    task = await client.create("task", title="x")
    await told(client, task["id"], 1)
    await client.converged(view)


@contract("resuming")
async def test_a_device_resumes_again_and_again(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    view = await client.subscribe("task", filter={"points": {"gt": 0}}, limit=5000)

    for number in range(5):
        await client.drop()
        task = await writer.create("task", title="x", points=number)
        await client.connect(resume=True)
        if number % 2:
            await writer.update("task", task["id"], replace(points=0))

    assert client.resyncs == 0
    await client.converged(view)


@contract("resuming")
async def test_a_cursor_of_another_device_resumes_no_more_than_ones_own_channels(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    other = await (await new_client(app).register_device()).connect()
    await other.subscribe("task")
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    task = await other.create("task", title="x")
    mine, theirs = await told(client, task["id"], 1), await told(other, task["id"], 1)

    assert mine["data"]["metadata"]["cursor"] == theirs["data"]["metadata"]["cursor"]
    await client.drop()
    client.cursor = other.cursor
    await client.connect(resume=True)
    await client.converged(view)


@contract("resuming")
@pytest.mark.parametrize("cursor", ["", "nobody-knows-this", "x" * 1000, "0"])
async def test_a_cursor_that_nobody_knows_is_answered_with_a_resync(
    client: NexxusClient, cursor: str
) -> None:
    await client.connect()
    view = await client.subscribe("task", filter={"points": 1}, limit=5000)
    await client.drop()
    await client.create("task", title="missed", points=1)

    client.cursor = cursor
    await client.connect(resume=True)

    resync = await client.wait_for("resync")
    assert resync["data"]["channels"] == [view.channel_id]
    assert isinstance(resync["data"]["cursor"], str)
    await client.settled()
    task = await client.create("task", title="live", points=1)
    await told(client, task["id"], 1)
    await client.converged(view)


@contract("resuming")
async def test_a_resume_that_is_late_is_an_error(client: NexxusClient) -> None:
    await client.connect()
    await client.subscribe("task", over="socket")

    await client.socket.send("resume", {"cursor": client.cursor or "x"})

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    assert client.socket.is_open


@contract("resuming")
async def test_a_cursor_that_is_no_string_is_an_error(client: NexxusClient) -> None:
    await client.connect()

    await client.socket.send("resume", {"cursor": 7})

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    assert client.socket.is_open


@contract("resuming")
async def test_a_device_that_does_not_resume_starts_without_its_subscriptions(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    gone = await client.subscribe("task", filter={"points": 1})
    await client.drop()
    client.views.clear()

    await client.connect()
    kept = await client.subscribe("task", over="socket")
    task = await writer.create("task", title="x", points=1)

    frame = await told(client, task["id"], 1)
    assert frame["data"]["metadata"]["channels"] == [kept.channel_id]
    await client.refused(
        "DELETE", "/subscription/", gone.descriptor, status=404, error="NotFoundException"
    )


@contract("resuming")
async def test_a_subscription_that_was_ended_meanwhile_is_not_resumed(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await (await new_client(app).register_device()).connect()
    await writer.subscribe("task", limit=5000)  # so that events of the channel come here at all
    await client.connect()
    kept = await client.subscribe("task", filter={"points": {"gte": 1}}, limit=100)
    gone = await client.subscribe("task", limit=100)
    await client.drop()

    async def is_silent() -> bool:
        return (await client.ok("GET", "/device"))["status"] == "offline"

    await eventually(is_silent)
    await client.unsubscribe(gone)
    task = await writer.create("task", title="x", points=1)
    await client.connect(resume=True)

    assert client.resyncs == 0
    frame = await told(client, task["id"], 1)
    assert frame["data"]["metadata"]["channels"] == [kept.channel_id]
    assert (await client.ok("GET", "/device"))["subscriptions"] == [kept.channel_id]


@contract("resuming")
async def test_a_subscription_made_over_http_before_the_first_frame_stays(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    writer = await new_client(app).register_device()
    await client.connect()
    await client.subscribe("task", filter={"points": 1})
    await client.drop()
    client.views.clear()

    await client.connect()
    over_http = await client.subscribe("task", filter={"points": {"gte": 0}})
    over_socket = await client.subscribe("task", over="socket", filter={"points": {"lte": 9}})
    task = await writer.create("task", title="x", points=1)

    frame = await told(client, task["id"], 1)
    assert set(frame["data"]["metadata"]["channels"]) == {
        over_http.channel_id,
        over_socket.channel_id,
    }


# A peer that does not listen


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
