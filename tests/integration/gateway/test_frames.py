"""Contract §6: what clients send, whole, broken and hostile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import uvloop
import websockets
from gateway_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_websocket import frame, open_raw, read_frame, text_frame
from waiting import eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.gateway import GatewaySettings
from nexxus.testing.journal import Journal

NewWorld = Callable[..., Any]


@pytest.mark.parametrize(
    "data",
    [
        {"a": b"bytes"},
        {"a": {7: "key"}},
        {"a": [{"b": msgspec.msgpack.Ext(5, b"x")}]},
    ],
)
async def test_what_json_could_not_say_is_refused_in_messagepack_too(
    world: World, data: Any
) -> None:
    client = await world.connect("d1", subprotocols=["nexxus.v1.msgpack"])

    await client.send("create", data, ref="1")

    assert (await client.expect("reply"))["status"] == 400
    assert world.actions.performed == []


def nested(levels: int) -> Any:
    return {"x": nested(levels - 1)} if levels > 1 else {}


async def test_an_unexpected_failure_is_logged_once_and_says_nothing(world: World) -> None:
    async def fail(*_: Any) -> Any:
        raise KeyError("secret")

    world.actions.on_perform = fail
    client = await world.connect("d1")

    await client.send("delete", {}, ref="r")

    reply = await client.expect("reply")
    assert (reply["status"], reply["error"]["error"]) == (500, "ServerErrorException")
    assert "secret" not in json.dumps(reply)
    assert len(world.journal.records) == 1


async def test_a_slow_operation_holds_up_its_own_connection_only(world: World) -> None:
    world.actions.overlapping = ()
    may_go_on = asyncio.Event()

    async def slowly(caller: Any, event: str, data: Any) -> tuple[int, Any]:
        if data.get("slow"):
            await may_go_on.wait()
        return 202, data

    world.actions.on_perform = slowly
    slow, other = await world.connect("d1"), await world.connect("d2")
    await slow.send("create", {"slow": True}, ref="1")
    await slow.send("create", {}, ref="2")

    await other.send("create", {}, ref="3")
    assert (await other.next())["ref"] == "3"
    may_go_on.set()

    assert [(await slow.next())["ref"] for _ in range(2)] == ["1", "2"]


async def test_a_flood_of_frames_is_not_read_before_it_can_be_handled(new_world: NewWorld) -> None:
    world = await new_world(frames_queued=4)
    may_go_on = asyncio.Event()

    async def slowly(*_: Any) -> tuple[int, None]:
        await may_go_on.wait()
        return 202, None

    world.actions.on_perform = slowly
    client = await world.connect("d1")
    flood = asyncio.create_task(_flood(client, 2_000))
    await eventually(lambda: world.actions.performed)
    await asyncio.wait({flood}, timeout=0.2)
    assert not flood.done()  # 40 MB do not fit into the sockets' buffers.

    may_go_on.set()
    for number in range(2_000):
        assert (await client.next())["ref"] == str(number)
    await flood


async def _flood(client: Any, count: int) -> None:
    for number in range(count):
        await client.send("create", {"x": "y" * 20_000}, ref=str(number))


async def test_the_limit_is_that_of_a_message_not_of_its_fragments(new_world: NewWorld) -> None:
    world = await new_world(frame=1024)
    client = await world.connect()

    await client.socket.send("x" * 300 for _ in range(4))

    assert await client.closed() == 1009


async def test_a_peer_that_goes_on_sending_still_learns_what_was_too_much(world: World) -> None:
    """To close while it sends would reset the connection, and with it the reason."""
    reader, writer = await open_raw(world.url)
    writer.write(frame(1, b"x" * (world.gateway.limits.frame + 1)))
    for _ in range(100):
        writer.write(bytes(100_000))
        await writer.drain()

    opcode, payload = await read_frame(reader)

    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 1009)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_peer_that_never_ends_is_cut_off(new_world: NewWorld) -> None:
    world = await new_world(frame=1024, close_timeout=0.1)
    reader, writer = await open_raw(world.url)
    writer.write(frame(1, b"x" * 2000))

    assert (await read_frame(reader))[0] == 8
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    await eventually(lambda: not world.gateway.figures.connections)
    writer.close()


async def test_a_message_may_come_in_fragments(world: World) -> None:
    client = await world.connect()

    await client.socket.send(['{"event": "regi', 'ster", "data": ', '{"token": "d1"}}'])

    assert (await client.expect("register"))["success"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(1, b"\xff\xfe"), 1007, id="text that is no UTF-8"),
        pytest.param(
            frame(1, b"\xff", final=False) + frame(0, b"\xfe"),
            1007,
            id="fragments that are no UTF-8",
        ),
        pytest.param(b"\x81\x02{}", 1002, id="no mask"),
        pytest.param(frame(3, b""), 1002, id="an unknown opcode"),
        pytest.param(frame(0, b"x"), 1002, id="nothing to continue"),
        pytest.param(frame(9, b"x", final=False), 1002, id="a fragmented ping"),
        pytest.param(frame(9, b"x" * 126), 1002, id="a long ping"),
        pytest.param(b"\xc1" + frame(1, b"{}")[1:], 1002, id="a reserved bit"),
        pytest.param(frame(8, b"\x03"), 1002, id="half a close code"),
        pytest.param(frame(8, b"\x03\xe8"), 1000, id="a close code"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_closed_with_its_code(
    new_world: NewWorld, sent: bytes, code: int
) -> None:
    world = await new_world(close_timeout=0.1)
    reader, writer = await open_raw(world.url)

    writer.write(sent)

    opcode, payload = await read_frame(reader)
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, code)
    assert await reader.read() == b""
    await eventually(lambda: world.gateway.figures.connections == 0)


async def test_a_ping_is_answered(world: World) -> None:
    reader, writer = await open_raw(world.url)

    writer.write(frame(9, b"are you there"))

    assert await read_frame(reader) == (10, b"are you there")


async def test_what_came_with_a_close_is_still_done(world: World) -> None:
    reader, writer = await open_raw(world.url)
    register = text_frame(json.dumps({"event": "register", "data": {"token": "d1"}}))
    create = text_frame(json.dumps({"event": "create", "ref": "1", "data": {"n": 1}}))

    writer.write(register)
    assert (await read_frame(reader))[0] == 1
    writer.write(create + frame(8, b"\x03\xe8"))

    assert (await read_frame(reader))[0] == 8
    await eventually(lambda: world.actions.performed == [("create", {"n": 1})])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
EVENTS = st.sampled_from(
    ["register", "refresh_access_token", "resume", "subscribe", "create", "reply", "x"]
)
FRAMES = st.fixed_dictionaries(
    {}, optional={"event": EVENTS | PLAIN, "data": PLAIN, "ref": st.text(max_size=5) | PLAIN}
)
MESSAGES = (
    st.text(max_size=60)
    | st.binary(max_size=60)
    | FRAMES.map(json.dumps)
    | FRAMES.map(lambda value: json.dumps(value).encode())
    | PLAIN.map(json.dumps)
)


@settings(
    max_examples=settings.default.max_examples // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(messages=st.lists(MESSAGES, max_size=12), is_registered=st.booleans())
def test_whatever_is_sent_is_answered_and_the_connection_lives(
    fuzzed: Any, messages: list[str | bytes], is_registered: bool
) -> None:
    fuzzed(messages, is_registered)


@pytest.fixture
def fuzzed(tmp_path: Any) -> Any:
    """Runs one example on a loop and a node of its own; hypothesis knows no coroutines."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    async def start() -> tuple[World, Any]:
        broker = InProcessBroker(InProcessBrokerSettings())
        registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=tmp_path, logger=Journal()
        )
        await broker.open()
        await registry.open()
        world = World("n1", GatewaySettings(), broker, registry)
        ready, done = asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            async with world.serving():
                ready.set()
                await done.wait()
            await registry.close()
            await broker.close()

        task = asyncio.create_task(serve())
        await ready.wait()

        async def stop() -> None:
            done.set()
            await task

        return world, stop

    world, stop = runner.run(start())
    numbers = iter(range(1_000_000))

    async def run(messages: list[str | bytes], is_registered: bool) -> None:
        device = f"d{next(numbers)}"
        async with websockets.connect(world.url, compression=None) as socket:
            if is_registered:
                await socket.send(json.dumps({"event": "register", "data": {"token": device}}))
                assert json.loads(await socket.recv())["event"] == "register"
            for message in messages:
                await socket.send(message)
                async with asyncio.timeout(10):
                    answer = json.loads(await socket.recv())
                assert answer["event"] in ("error", "reply", "register", "refresh_access_token")
        assert world.journal.records == []

    yield lambda messages, is_registered: runner.run(run(messages, is_registered))
    runner.run(stop())
    runner.close()
