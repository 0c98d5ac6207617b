"""A push service that fails, refuses or is slow."""

from __future__ import annotations

from pathlib import Path

from push_world import World, serving
from waiting import eventually

from nexxus.interfaces.push_service import Refused, TryLater


async def test_what_a_service_cannot_take_now_is_pushed_later(world: World) -> None:
    device = await world.device()
    await device.subscribe()
    world.service.outcomes[device.id] = [TryLater("busy", 0.0), RuntimeError("a bug")]
    await world.create()
    await eventually(lambda: device.pushes)
    assert world.service.calls == 3


async def test_a_push_that_is_refused_holds_up_no_other(world: World) -> None:
    device = await world.device()
    await device.subscribe()
    world.service.outcomes[device.id] = [Refused("too large")]
    await world.create(id="n1")
    await eventually(lambda: world.service.calls == 1)
    await world.create(id="n2")
    (message,) = await eventually(lambda: device.pushes)
    assert message.data["id"] == "n2"
    assert "count" not in message.data


async def test_a_slow_service_holds_up_neither_events_nor_writes(tmp_path: Path) -> None:
    async with serving(tmp_path, concurrency=1) as world:
        away = [await world.device() for _ in range(10)]
        for device in away:
            await device.subscribe()
        connected = await world.device()
        await connected.connect()
        await connected.subscribe()
        world.service.may_send.clear()
        for number in range(20):
            await world.create(id=f"n{number}")
        await eventually(lambda: len(connected.wire.named("model_created")) == 20)
        assert world.service.calls <= 1
        world.service.may_send.set()
        await eventually(lambda: all(device.pushes for device in away))
