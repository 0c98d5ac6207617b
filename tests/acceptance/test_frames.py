"""Contract §6: invalid frames, and both encodings."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from client import NexxusClient, replace
from connection import JSON, MSGPACK

contract = partial(pytest.mark.contract, "6. WebSocket")


def is_error(code: str) -> Callable[[Any], bool]:
    return lambda f: f["event"] == "error" and f["data"]["code"] == code


@contract("invalid frames are errors")
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
async def test_an_invalid_frame_is_an_error_and_the_connection_stays_open(
    client: NexxusClient, message: str
) -> None:
    await client.connect()

    await client.socket.send_raw(message)

    frame = await client.wait_for("error")
    assert frame["data"]["code"] == "INVALID_PARAMETERS"
    assert frame["data"]["message"]
    await client.subscribe("task", over="socket")


@contract("invalid frames are errors")
async def test_a_binary_frame_on_json_is_an_error(client: NexxusClient) -> None:
    await client.connect()

    await client.socket.send_raw(b'{"event": "register", "data": {}}')

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    await client.subscribe("task", over="socket")


@contract("invalid frames are errors")
async def test_a_text_frame_on_messagepack_is_an_error(client: NexxusClient) -> None:
    await client.connect(protocol=MSGPACK)

    await client.socket.send_raw('{"event": "register", "data": {}}')

    await client.wait_for(is_error("INVALID_PARAMETERS"))
    await client.subscribe("task", over="socket")


@contract("invalid frames are errors")
async def test_a_frame_over_the_limit_closes_the_connection(client: NexxusClient) -> None:
    await client.connect()

    await client.socket.send_raw(json.dumps({"event": "register", "data": "x" * (1 << 20)}))

    assert await client.socket.wait_closed() == 1009


@contract("two encodings")
@pytest.mark.parametrize("protocol", [None, JSON, MSGPACK])
async def test_a_client_chooses_its_encoding(client: NexxusClient, protocol: str | None) -> None:
    await client.connect(protocol=protocol)
    assert client.socket.socket.subprotocol == protocol
    view = await client.subscribe("task", over="socket", limit=5000)

    task = await client.create("task", title="é", weight=0.1, points=2**53)
    await client.update("task", task["id"], replace(tags=["a"]))
    await client.delete("task", task["id"])

    await client.told(task["id"], 3)
    await client.converged(view)


@contract("two encodings")
async def test_devices_with_both_encodings_share_a_channel(
    client: NexxusClient, app: Any, new_client: Any
) -> None:
    packed = await new_client(app).register_device()
    await client.connect()
    await packed.connect(protocol=MSGPACK)
    await client.subscribe("task")
    await packed.subscribe("task")

    task = await client.create("task", title="x")

    frames = [await device.told(task["id"], 1) for device in (client, packed)]
    assert frames[0]["data"]["model"] == frames[1]["data"]["model"] == task
