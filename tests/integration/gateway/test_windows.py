"""How long a lost connection's subscriptions are kept is the connection's own choice, in bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gateway_world import World, event
from waiting import eventually

from nexxus.domain.identity import Identity
from nexxus.errors import ServiceUnavailable, UserTokenExpired
from nexxus.gateway.connections.connection import Connection
from nexxus.interfaces.transport import Framing, ServerFrame, Wire

NewWorld = Callable[..., Any]


class Recording(Framing):
    """Keeps every frame that is made."""

    joins = False

    def frame(self, frame: ServerFrame) -> bytes:
        return Made(frame)


class Made(bytes):
    """A frame's bytes, and the frame."""

    frame: ServerFrame

    def __new__(cls, frame: ServerFrame) -> Made:
        made = super().__new__(cls, frame.data)
        made.frame = frame
        return made


class Memory(Wire):
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[Made] = []
        self.closed: int | None = None
        self.connection: Connection | None = None

    def write(self, frames: bytes) -> bool:
        assert isinstance(frames, Made)
        self.written.append(frames)
        return True

    def close(self, code: int, reason: str) -> None:
        self.closed = code
        if self.connection is not None:
            asyncio.get_running_loop().call_soon(self.connection.lost)

    def abort(self) -> None: ...

    @property
    def events(self) -> list[str]:
        return [made.frame.event for made in self.written]


RECORDING = Recording()


def identity(device: str) -> Identity:
    return Identity("tasks", device, session_id=f"session of {device}", expires_at=2**40)


async def connected(
    world: World, device: str, window: float | None = None, cursor: str | None = None
) -> tuple[Connection, Memory]:
    wire = Memory()
    connection = wire.connection = world.gateway.accept(wire, RECORDING, resume_window=window)
    await connection.register(identity(device), cursor=cursor)
    return connection, wire


async def is_gone(world: World, device: str) -> bool:
    return await world.channels_of(device) == []


async def test_a_connection_may_ask_for_no_window_at_all(world: World) -> None:
    connection, _ = await connected(world, "d1", 0)
    await world.subscribe("d1", "c1")

    connection.lost()

    await eventually(lambda: is_gone(world, "d1"))


async def test_a_connection_may_ask_for_more_than_is_usual(new_world: NewWorld) -> None:
    world = await new_world(resume_window=0.05)
    usual, _ = await connected(world, "d1")
    longer, _ = await connected(world, "d2", 60)
    for device in ("d1", "d2"):
        await world.subscribe(device, "c1")

    usual.lost()
    longer.lost()

    await eventually(lambda: is_gone(world, "d1"))
    world.gateway.deliver(event(1, updated=["c1"]))
    _, wire = await connected(world, "d2", 60, _cursor_of(world, 0))
    await eventually(lambda: "resume" in wire.events)
    assert wire.events == ["register", "model_updated", "resume"]


def _cursor_of(world: World, seq: int) -> str:
    return world.gateway.residents.log.cursors.write(seq)


async def test_no_connection_gets_more_than_the_configuration_allows(new_world: NewWorld) -> None:
    world = await new_world(resume_window=5, resume_window_max=30)

    connections = [
        world.gateway.accept(Memory(), RECORDING, resume_window=asked)
        for asked in (None, 0, 7.5, 30, 1e9, -1)
    ]

    windows = [connection.resume_window for connection in connections]
    for connection in connections:
        connection.lost()
    assert windows == [5, 0, 7.5, 30, 30, 0]


async def test_a_window_may_change_until_the_connection_is_lost(world: World) -> None:
    connection, _ = await connected(world, "d1", 60)
    await world.subscribe("d1", "c1")

    connection.resume_window = 0
    connection.closed_by_peer()

    await eventually(lambda: is_gone(world, "d1"))
    connection.lost()


async def test_a_connection_that_keeps_nothing_takes_over_nothing(world: World) -> None:
    first, _ = await connected(world, "d1", 60)
    await world.subscribe("d1", "c1")
    first.lost()

    _, wire = await connected(world, "d1", 0)

    assert await world.channels_of("d1") == []
    await eventually(lambda: wire.events == ["register"])


async def test_frames_come_one_by_one_with_their_channels_and_cursors(world: World) -> None:
    _, wire = await connected(world, "d1")
    _, other = await connected(world, "d2")
    for device, channels in (("d1", ("c1", "c2")), ("d2", ("c1", "c2"))):
        for channel in channels:
            await world.subscribe(device, channel)

    world.gateway.deliver(event(1, updated=["c1"]))
    world.gateway.deliver(event(2, updated=["c1"]))
    world.gateway.deliver(event(3, created=["c2"], updated=["c1"]))
    await eventually(lambda: len(wire.written) == 5)

    frames = [made.frame for made in wire.written[1:]]
    assert [(frame.event, frame.channels) for frame in frames] == [
        ("model_updated", ("c1",)),
        ("model_updated", ("c1",)),
        ("model_created", ("c2",)),
        ("model_updated", ("c1",)),
    ]
    assert frames[0].cursor != frames[1].cursor
    assert all(one is same for one, same in zip(wire.written[1:], other.written[1:], strict=True))


async def test_an_identity_registers_like_its_token(world: World) -> None:
    connection, wire = await connected(world, "d1")

    assert connection.claims is not None
    assert connection.claims.device_id == "d1"
    await eventually(lambda: wire.events == ["register"])
    world.actions.ended.add("session of d2")
    late = world.gateway.accept(Memory(), RECORDING)
    with pytest.raises(UserTokenExpired):
        await late.register(identity("d2"))
    late.lost()
    with pytest.raises(ServiceUnavailable):
        await late.register(identity("d3"))


async def test_who_was_replaced_here_is_known_by_its_cursor(world: World) -> None:
    _, wire = await connected(world, "d1")
    await eventually(lambda: wire.events == ["register"])
    first_cursor = wire.written[0].frame.cursor
    assert first_cursor is not None
    assert not world.gateway.is_replaced(identity("d1"), first_cursor)

    second, successor = await connected(world, "d1")
    await eventually(lambda: successor.events == ["register"])
    second_cursor = successor.written[0].frame.cursor
    assert second_cursor is not None

    assert wire.closed == 4003
    assert world.gateway.is_replaced(identity("d1"), first_cursor)
    assert not world.gateway.is_replaced(identity("d1"), second_cursor)
    assert not world.gateway.is_replaced(identity("d1"), "n9:1-1")
    second.lost()
    assert not world.gateway.is_replaced(identity("d1"), first_cursor)
