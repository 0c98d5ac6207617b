"""Contract §6: opening, registering, tokens, closing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import websockets
from gateway_world import APP, TRANSPORT, Client, FakeActions, World, event, token_until
from raw_websocket import open_raw, text_frame
from waiting import eventually

from nexxus.cluster.messages import ConnectionReplaced, SessionEnded
from nexxus.errors import DeviceNotFound, ServiceUnavailable, TooManyRequests
from nexxus.interfaces.registry import Presence

NewWorld = Callable[..., Any]


async def request(world: World, head: str) -> tuple[int, dict[str, str], Any]:
    """What the server answers to a raw request."""
    reader, writer = await asyncio.open_connection(*world.address)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    return int(status.split()[1]), headers, json.loads(body) if body else None


UPGRADE = """GET {path} HTTP/1.1
Host: x
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Version: {version}
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="""


async def test_another_path_is_refused_with_a_json_error(world: World) -> None:
    status, headers, body = await request(world, UPGRADE.format(path="/chat", version=13))

    assert status == 404
    assert headers["content-type"] == "application/json"
    assert body["error"] == "NotFoundException"
    assert set(body) == {"error", "message", "requestId"}


async def test_another_version_of_the_protocol_is_refused_with_the_one_we_speak(
    world: World,
) -> None:
    status, headers, body = await request(world, UPGRADE.format(path="/", version=8))

    assert (status, headers["sec-websocket-version"]) == (400, "13")
    assert body["error"] == "InvalidParametersException"


async def test_compression_is_not_negotiated(world: World) -> None:
    offer = "\nSec-WebSocket-Extensions: permessage-deflate"
    status, headers, _ = await request(world, UPGRADE.format(path="/?a=b", version=13) + offer)

    assert status == 101
    assert "sec-websocket-extensions" not in headers


async def test_beyond_the_connections_that_it_may_hold_a_node_refuses(new_world: NewWorld) -> None:
    world = await new_world(max_connections=1)
    await world.connect("d1")

    with pytest.raises(websockets.InvalidStatus) as refused:
        await world.connect("d2")

    assert refused.value.response.status_code == 503
    assert json.loads(refused.value.response.body)["error"] == "ServiceUnavailableException"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceNotFound("no such device"), "DEVICE_NOT_FOUND"),
        (TooManyRequests("slow down", retry_after=1), "RATE_LIMITED"),
        (ServiceUnavailable("the registry is away"), "INTERNAL_SERVER_ERROR"),
        (RuntimeError("a bug"), "INTERNAL_SERVER_ERROR"),
    ],
)
async def test_a_register_that_fails_is_an_error_and_may_be_tried_again(
    world: World, error: Exception, code: str
) -> None:
    async def fail(token: str) -> None:
        raise error

    client = await world.connect()
    world.actions.on_verify = fail
    await client.send("register", {"token": "d1"})
    told = await client.expect_error(code)
    assert "bug" not in told["message"]
    assert len(world.journal.records) == (1 if isinstance(error, RuntimeError) else 0)

    world.actions.on_verify = None
    await client.register("d1")


async def test_a_session_that_ends_while_it_registers_does_not(world: World) -> None:
    client = await world.connect()
    verified = 0

    async def end_after_first(token: str) -> None:
        nonlocal verified
        verified += 1
        if verified == 2:
            world.actions.ended.add("session of d1")

    world.actions.on_verify = end_after_first
    await client.send("register", {"token": "d1"})

    await client.expect_error("SESSION_ENDED")
    assert await world.registry.presence.get(APP, "d1") is None


async def test_a_connection_keeps_to_its_device(world: World) -> None:
    client = await world.connect("d1")

    await client.send("register", {"token": "d2"})
    await client.expect_error("INVALID_PARAMETERS")
    await client.send("refresh_access_token", {"token": "d2"})
    await client.expect_error("INVALID_PARAMETERS")

    await client.register("d1")
    assert await world.registry.presence.get(APP, "d2") is None


async def test_of_connections_that_register_at_once_one_remains(world: World) -> None:
    clients = [await world.connect() for _ in range(8)]
    for client in clients:
        await client.send("register", {"token": "d1"})
    for client in clients:
        await client.expect("register")

    def remaining() -> list[Client]:
        return [client for client in clients if client.socket.close_code is None]

    await eventually(lambda: len(remaining()) == 1)
    assert await remaining()[0].is_quiet()
    assert world.gateway.figures.connections == 1


async def test_a_connection_on_another_node_is_replaced_too(new_world: NewWorld) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    first = await one.connect("d1")
    await two.connect("d1")

    assert await first.closed() == 4003
    await eventually(lambda: one.gateway.figures.connections == 0)
    assert (await two.registry.presence.get(APP, "d1")).node == "n2"


async def test_a_replacement_names_its_connection(world: World) -> None:
    client = await world.connect("d1")

    await world.tell(ConnectionReplaced(APP, "d1", "another"))

    assert await client.is_quiet()


async def test_nothing_is_sent_after_the_token_expired_however_late_the_loop_is(
    world: World,
) -> None:
    expires = int(time.time()) + 2
    client = await world.connect(token_until("d1", expires))
    await world.subscribe("d1", "c1")
    await client.send("create", {}, ref="first frame")
    await client.expect("reply")

    while time.time() < expires + 0.05:
        world.gateway.deliver(event(1, created=["nobody"]))
    world.gateway.deliver(event(2, created=["c1"]))

    with pytest.raises(websockets.ConnectionClosed):
        await client.next()
    assert client.socket.close_code == 4002


async def test_a_session_ends_though_the_registry_is_not_told_of_its_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")

    async def away(_: Presence) -> None:
        raise ServiceUnavailable("the registry is away")

    monkeypatch.setattr(world.registry.presence, "disconnect", away)
    await world.tell(SessionEnded(APP, "d1", "session of d1"))

    assert await client.closed() == 4001
    await eventually(lambda: world.gateway.narrowed.devices(APP) == [])
    assert await world.channels_of("d1") == []


async def test_the_end_of_a_former_session_leaves_the_present_one(world: World) -> None:
    client = await world.connect("d1.new")

    await world.tell(SessionEnded(APP, "d1", "old"))

    assert await client.is_quiet()


@pytest.mark.parametrize(("user", "kept"), [("ann", ["c1"]), ("bob", [])])
async def test_a_session_that_replaces_another_keeps_the_subscriptions_of_its_own_user(
    world: World, user: str, kept: list[str]
) -> None:
    first = await world.connect("d1.old.ann")
    await world.subscribe("d1", "c1")
    second = await world.connect(f"d1.new.{user}")

    assert await first.closed() == 4003
    await second.send("resume", {"cursor": first.cursor})
    assert (await second.expect("resume"))["success"]
    assert await world.channels_of("d1") == kept


async def test_a_connection_of_a_replaced_session_closes_with_the_session_that_replaced_it(
    world: World,
) -> None:
    client = await world.connect("d1.old.ann")
    world.actions.ended.add("old")  # its tokens are refused, its connection stays

    await world.tell(SessionEnded(APP, "d1", "new"))

    assert await client.closed() == 4001


async def test_the_end_of_a_former_session_leaves_the_connection_of_a_live_one(
    world: World,
) -> None:
    client = await world.connect("d1.new.ann")

    await world.tell(SessionEnded(APP, "d1", "old"))

    await world.subscribe("d1", "c1")
    await world.tell(event(1, created=["c1"]))
    await client.expect("model_created")


async def test_a_drain_closes_everything_once_what_was_received_is_done(world: World) -> None:
    client = await world.connect("d1")
    may_go_on = asyncio.Event()

    async def slowly(*_: Any) -> tuple[int, None]:
        await may_go_on.wait()
        return 202, None

    world.actions.on_perform = slowly
    await client.send("create", {}, ref="1")
    await eventually(lambda: world.actions.performed)
    draining = asyncio.create_task(world.gateway.drain())
    await asyncio.sleep(0)
    with pytest.raises(websockets.InvalidStatus):
        await world.connect()
    await client.send("create", {}, ref="too late")
    await client.socket.ping()
    may_go_on.set()

    assert (await client.expect("reply"))["status"] == 202
    assert await client.closed() == 1001
    await draining
    assert len(world.actions.performed) == 1
    assert world.gateway.figures.connections == 0
    assert await world.registry.presence.get(APP, "d1") is None


async def test_a_drain_does_not_wait_for_ever_for_a_peer(new_world: NewWorld) -> None:
    world = await new_world(close_timeout=0.05)
    _, writer = await open_raw(world.url)
    writer.write(text_frame(json.dumps({"event": "register", "data": {"token": "d1"}})))
    await eventually(lambda: world.registry.presence.get(APP, "d1"))

    await world.gateway.drain()

    assert world.gateway.figures.connections == 0


async def test_a_claim_that_fails_gives_the_device_back(world: World) -> None:
    holder = Presence(APP, "d1", "elsewhere", TRANSPORT, "x")
    await world.registry.presence.connect(holder)
    client = await world.connect()
    actions: FakeActions = world.actions
    verified = 0

    async def fail_second(token: str) -> None:
        nonlocal verified
        verified += 1
        if verified == 2:
            raise ServiceUnavailable("away")

    actions.on_verify = fail_second
    await client.send("register", {"token": "d1"})

    await client.expect_error("INTERNAL_SERVER_ERROR")
    assert await world.registry.presence.get(APP, "d1") == holder
