"""Contract §6: a device that comes back to another node, and to the first again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_world import APP, World, drop, dropped, event
from waiting import eventually

NewWorld = Callable[..., Any]


async def test_on_another_node_the_subscriptions_are_taken_over_and_read_anew(
    new_world: NewWorld,
) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    cursor = await dropped(one, "c1")

    client = await two.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("resync"))["channels"] == ["c1"]
    await two.tell(event(2, updated=["c1"]))
    await client.expect("model_updated")


async def test_a_node_leaves_alone_what_another_has_taken_over(new_world: NewWorld) -> None:
    one, two = await new_world("n1", resume_window=0.05), await new_world("n2")
    client = await one.connect("d1")
    await one.subscribe("d1", "c1")
    successor = await two.connect("d1")
    assert await client.closed() == 4003
    await successor.send("resume", {"cursor": client.cursor})
    await successor.expect("resync")

    await eventually(lambda: one.gateway.narrowed.devices(APP) == [])

    assert await two.channels_of("d1") == ["c1"]


async def moved(one: World, two: World) -> str:
    """A device d1 of `one` that went over to `two` and was lost before it knew; its cursor."""
    cursor = await dropped(one, "c1")
    client = await two.connect("d1")
    await client.send("resume", {"cursor": cursor})
    await client.expect("resync")
    await drop(two, client)
    return cursor


@pytest.mark.parametrize("dies", [False, True])
async def test_back_on_a_node_that_knows_the_device_it_is_served_there_and_reads_anew(
    new_world: NewWorld, dies: bool
) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    cursor = await moved(one, two)
    if dies:
        await two.registry.nodes.retire("n2")

    client = await one.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("resync"))["channels"] == ["c1"]
    assert await one.servers_of("d1") == {"c1": "n1"}
    await one.tell(event(2, updated=["c1"]))
    await client.expect("model_updated")


async def test_what_was_subscribed_to_on_another_node_is_served_back_on_the_first(
    new_world: NewWorld,
) -> None:
    one, two = await new_world("n1"), await new_world("n2")
    first = await one.connect("d1")
    second = await two.connect("d1")
    assert await first.closed() == 4003
    await two.subscribe("d1", "c2")
    await drop(two, second)

    client = await one.connect("d1")
    await client.send("resume", {"cursor": second.cursor})

    assert (await client.expect("resync"))["channels"] == ["c2"]


async def test_a_node_lets_a_silent_device_of_another_keep_what_it_has(
    new_world: NewWorld,
) -> None:
    one, two = await new_world("n1", resume_window=0.3), await new_world("n2")
    await moved(one, two)

    await eventually(lambda: one.gateway.narrowed.devices(APP) == [])

    assert await two.channels_of("d1") == ["c1"]
