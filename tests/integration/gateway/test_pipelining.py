"""Contract §6: many frames on one connection, under way together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from gateway_world import World
from waiting import eventually

from nexxus.errors import VersionConflict

NewWorld = Callable[..., Any]


class Gates:
    """Actions that wait until they are let through, one by one."""

    def __init__(self, world: World) -> None:
        self.begun: list[Any] = []
        self._gates: dict[Any, asyncio.Event] = {}
        world.actions.on_perform = self._perform

    async def _perform(self, caller: Any, event: str, data: Any) -> tuple[int, Any]:
        self.begun.append(data["n"])
        await self._gate(data["n"]).wait()
        if data.get("fails"):
            raise VersionConflict("somebody was faster")
        return 202, data

    def _gate(self, number: Any) -> asyncio.Event:
        return self._gates.setdefault(number, asyncio.Event())

    def open(self, *numbers: Any) -> None:
        """Let these through."""
        for number in numbers:
            self._gate(number).set()


async def test_writes_begin_in_their_order_and_are_answered_as_they_are_done(world: World) -> None:
    gates = Gates(world)
    client = await world.connect("d1")
    for number in range(50):
        await client.send("update", {"n": number}, ref=f"r{number}")

    await eventually(lambda: len(gates.begun) == 50)
    assert gates.begun == list(range(50))
    for number in reversed(range(50)):
        gates.open(number)
        reply = await client.next()
        assert (reply["ref"], reply["data"]["data"]) == (f"r{number}", {"n": number})


async def test_a_write_that_fails_does_not_stop_the_others(world: World) -> None:
    gates = Gates(world)
    client = await world.connect("d1")
    for number in range(4):
        await client.send("create", {"n": number, "fails": number % 2 == 0}, ref=f"r{number}")
    await client.send("create", [], ref="unfit")
    await client.socket.send("nonsense")
    await client.send("create", {"n": 4}, ref="r4")
    gates.open(*range(5))

    frames = [await client.next() for _ in range(7)]
    statuses = {frame["ref"]: frame["data"]["status"] for frame in frames if "ref" in frame}

    assert statuses == {"r0": 409, "r1": 202, "r2": 409, "r3": 202, "unfit": 400, "r4": 202}
    assert [frame["data"]["code"] for frame in frames if "ref" not in frame] == [
        "INVALID_PARAMETERS"
    ]


async def test_a_read_waits_for_the_writes_before_it_and_holds_those_after(world: World) -> None:
    gates = Gates(world)
    client = await world.connect("d1")
    await client.send("create", {"n": 1}, ref="1")
    await client.send("create", {"n": 2}, ref="2")
    await client.send("subscribe", {"n": 3, "getOnly": True}, ref="3")
    await client.send("create", {"n": 4}, ref="4")
    await client.send("create", {"n": 5}, ref="5")

    await eventually(lambda: gates.begun == [1, 2])
    gates.open(2)
    assert (await client.next())["ref"] == "2"
    assert gates.begun == [1, 2]
    gates.open(1)
    assert (await client.next())["ref"] == "1"
    await eventually(lambda: gates.begun == [1, 2, 3])
    gates.open(4, 5, 3)

    assert (await client.next())["ref"] == "3"
    assert {(await client.next())["ref"] for _ in range(2)} == {"4", "5"}
    assert gates.begun == [1, 2, 3, 4, 5]


async def test_a_write_that_cannot_overlap_is_waited_for(world: World) -> None:
    world.actions.overlapping = ()
    gates = Gates(world)
    client = await world.connect("d1")
    for number in range(3):
        await client.send("create", {"n": number}, ref=str(number))

    for number in range(3):
        await eventually(lambda n=number: gates.begun == list(range(n + 1)))
        gates.open(number)
        assert (await client.next())["ref"] == str(number)


async def test_no_more_are_under_way_than_may_be(new_world: NewWorld) -> None:
    world = await new_world(frames_queued=8)
    gates = Gates(world)
    client = await world.connect("d1")
    for number in range(100):
        await client.send("create", {"n": number}, ref=str(number))

    for number in range(100):
        await eventually(lambda n=number: len(gates.begun) == min(n + 8, 100))
        gates.open(number)
        assert (await client.next())["ref"] == str(number)


async def test_a_client_that_waits_for_its_writes_costs_only_itself(new_world: NewWorld) -> None:
    world = await new_world(frames_queued=4)
    gates = Gates(world)
    held, other = await world.connect("d1"), await world.connect("d2")
    gates.open("other")
    for number in range(100):
        await held.send("create", {"n": number}, ref=str(number))
    await eventually(lambda: len(gates.begun) == 4)

    for _ in range(20):
        await other.send("create", {"n": "other"}, ref="o")
        assert (await other.next())["ref"] == "o"

    assert Counter(number == "other" for number in gates.begun) == {False: 4, True: 20}
    gates.open(*range(100))  # or the gateway waits for them when it drains


async def test_what_has_not_begun_when_a_connection_breaks_is_not_done(world: World) -> None:
    gates = Gates(world)
    client = await world.connect("d1")
    for number in range(5):
        event = "subscribe" if number == 1 else "create"
        await client.send(event, {"n": number, "getOnly": True}, ref=str(number))
    gates.open(0)
    await eventually(lambda: gates.begun == [0, 1])

    client.socket.transport.abort()
    await eventually(lambda: world.gateway.figures.connections == 0)
    gates.open(*range(5))
    await world.gateway.drain()

    assert gates.begun == [0, 1]
