"""Change listeners are retried until they succeed, and block nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from waiting import eventually

from nexxus.applications.change_listeners import ChangeListeners
from nexxus.domain.application import parse_application
from nexxus.errors import ServiceUnavailable

FIRST, SECOND, THIRD = (parse_application({"id": "shop", "name": name}) for name in "123")


PATIENCE = 0.01


class Listener:
    """Records changes; fails while it `is_away`, and waits until it `may_go_on`."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.is_away = False
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self, former: Any, present: Any) -> None:
        self.heard.append((former, present))
        will_fail = self.is_away
        await self.may_go_on.wait()
        if will_fail:
            raise ServiceUnavailable("away")


class World:
    def __init__(self) -> None:
        self.present: dict[str, Any] = {}
        self.listeners = ChangeListeners(self.present.get, patience=PATIENCE)
        self.one, self.other = Listener(), Listener()
        self.listeners.add(self.one)
        self.listeners.add(self.other)

    async def change(self, present: Any) -> None:
        former = self.present.get("shop")
        self.present["shop"] = present
        await self.listeners.tell("shop", former)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_listener_that_fails_is_retried_and_does_not_block_the_others(
    world: World,
) -> None:
    await world.change(FIRST)
    world.one.is_away = True
    await world.change(SECOND)
    assert world.other.heard == [(None, FIRST), (FIRST, SECOND)]

    with pytest.raises(ServiceUnavailable):
        await world.listeners.finish()
    world.one.is_away = False
    await world.listeners.finish()

    assert world.one.heard == [(None, FIRST), *[(FIRST, SECOND)] * 3]
    assert len(world.other.heard) == 2
    await nothing_is_left(world)


async def test_a_listener_that_failed_gets_later_changes_from_its_last_state(world: World) -> None:
    await world.change(FIRST)
    world.one.is_away = True
    await world.change(SECOND)
    world.one.is_away = False

    await world.change(THIRD)

    assert world.one.heard == [(None, FIRST), (FIRST, SECOND), (FIRST, THIRD)]
    assert world.other.heard == [(None, FIRST), (FIRST, SECOND), (SECOND, THIRD)]
    await world.listeners.finish()
    assert len(world.one.heard) == 3
    await nothing_is_left(world)


async def test_a_slow_listener_blocks_no_change_and_continues_afterwards(world: World) -> None:
    world.one.may_go_on.clear()

    await world.change(FIRST)

    assert world.other.heard == [(None, FIRST)]
    world.one.may_go_on.set()
    await world.listeners.finish()
    assert world.one.heard == [(None, FIRST)] * 2


async def test_a_change_during_another_one_is_not_considered_done(world: World) -> None:
    world.one.is_away = True
    await world.change(FIRST)
    world.one.is_away = False
    world.one.may_go_on.clear()
    finishing = asyncio.create_task(world.listeners.finish())
    await eventually(lambda: len(world.one.heard) == 2)
    world.one.is_away = True
    changing = asyncio.create_task(world.change(SECOND))
    await eventually(lambda: len(world.one.heard) == 3)

    world.one.may_go_on.set()
    await asyncio.gather(changing, finishing)
    world.one.is_away = False
    await world.listeners.finish()

    assert world.one.heard == [(None, FIRST), (None, FIRST), *[(None, SECOND)] * 2]


async def nothing_is_left(world: World) -> None:
    finishing = asyncio.create_task(world.listeners.finish())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not finishing.done()
    finishing.cancel()
