"""Contract §6: one event to the devices that it is for."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from deliveries import verdicts
from gateway_world import APP, TRANSPORT, World, event, subscription_to
from raw_websocket import open_raw, read_frame, text_frame
from waiting import eventually

from nexxus.cluster.messages import Delivery, SubscriptionChanged
from nexxus.domain.channels import Descriptor, Route
from nexxus.errors import DeviceNotConnected

NewWorld = Callable[..., Any]


async def live(world: World, device: str, *channels: str, **options: Any) -> Any:
    """A client with subscriptions whose first frame is behind it."""
    client = await world.connect(device, **options)
    for channel in channels:
        await world.subscribe(device, channel)
    return client


async def test_the_time_from_a_write_to_its_push_is_measured(world: World) -> None:
    client = await live(world, "d1", "c1")
    written = int(time.time() * 1000) - 60_000

    await world.tell(
        Delivery(APP, "task", "t1", 1, verdicts=verdicts(deleted=["c1"]), accepted_at=written)
    )
    await world.tell(event(2, deleted=["c1"]))

    await client.expect("model_deleted")
    await client.expect("model_deleted")
    seconds = world.gateway.figures.write_to_push_seconds
    assert sum(seconds.counts) == 1  # of the other, the time is not known
    assert seconds.sum >= 60


async def test_what_follows_a_key_split_by_access_control_is_told_the_channel(
    world: World,
) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1", "c1#0123456789abcdef")

    await world.tell(event(1, created=["c1#0123456789abcdef", "c1"]))

    assert (await client.expect("model_created"))["metadata"]["channels"] == ["c1"]
    assert await client.is_quiet()


async def test_subscriptions_changed_by_another_node_are_read_anew(world: World) -> None:
    await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.registry.subscriptions.remove(APP, "d1", ["c1"])

    await world.tell(SubscriptionChanged(APP, "d1"))

    await eventually(lambda: world.gateway.narrowed.devices(APP)[0].subscriptions == ())


async def test_subscriptions_made_at_once_are_all_served(world: World) -> None:
    client = await world.connect("d1")
    channels = [f"c{number}" for number in range(50)]

    await asyncio.gather(*(world.subscribe("d1", channel) for channel in channels))
    await world.tell(event(1, created=channels))

    assert (await client.expect("model_created"))["metadata"]["channels"] == channels


async def test_a_slow_consumer_that_reads_on_learns_the_reason(new_world: NewWorld) -> None:
    world = await new_world(send_buffer=64 * 1024)
    reader, writer = await open_raw(world.url, receive_buffer=1024)
    writer.write(text_frame(json.dumps({"event": "register", "data": {"token": "slow"}})))
    assert (await read_frame(reader))[0] == 1
    await world.subscribe("slow", "c1")
    large = Delivery(
        APP,
        "task",
        "t1",
        1,
        object={"id": "t1", "text": "x" * 50_000},
        verdicts=verdicts(created=["c1"]),
    )
    while not world.gateway.figures.slow_consumers:
        world.gateway.deliver(large)
        await asyncio.sleep(0)

    while True:
        opcode, payload = await read_frame(reader)
        if opcode == 8:
            break
    assert int.from_bytes(payload[:2], "big") == 4008


# Narrowing: a channel on its way from one audience to another


def route(key: str) -> Route:
    return Route(key, APP, Descriptor("task"))


async def narrowing(world: World) -> Any:
    """A client whose channel c1 is moving from the key c1 to c1#new."""
    client = await live(world, "d1", "c1", "c2")
    await world.subscribe("d1", "c1", "c1#new", narrowing_from=route("c1"))
    return client


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"created": ["c1", "c1#new"]}, ("model_created", None)),
        ({"updated": ["c1", "c1#new"]}, ("model_updated", None)),
        ({"updated": ["c1"], "created": ["c1#new"]}, ("model_created", None)),
        ({"updated": ["c1"], "denied": ["c1#new"]}, ("model_deleted", "denied")),
        ({"updated": ["c1"]}, ("model_deleted", "denied")),
        ({"created": ["c1"]}, ("model_deleted", "denied")),
        ({"left": ["c1"]}, ("model_deleted", "left")),
        ({"deleted": ["c1"]}, ("model_deleted", "deleted")),
        ({"denied": ["c1"]}, ("model_deleted", "denied")),
        ({"updated": ["c1#new"]}, ("model_updated", None)),
    ],
)
async def test_while_a_channel_is_narrowed_only_the_new_route_shows_anything(
    world: World, keys: dict[str, list[str]], told: tuple[str, str | None]
) -> None:
    client = await narrowing(world)

    await world.tell(event(5, **keys))

    data = await client.expect(told[0])
    assert data.get("reason") == told[1]
    assert data["metadata"]["channels"] == ["c1"]
    assert await client.is_quiet()


async def test_once_narrowed_the_former_route_says_nothing(world: World) -> None:
    client = await narrowing(world)
    await world.subscribe("d1", "c1", "c1#new")

    await world.tell(event(5, updated=["c1"]))
    await world.tell(event(6, updated=["c1#new"]))

    assert (await client.expect("model_updated"))["model"]["version"] == 6


async def test_what_is_denied_is_taken_away_but_for_what_was_shown_since(world: World) -> None:
    client = await narrowing(world)
    await world.tell(event(5, updated=["c1#new"]))
    await client.expect("model_updated")

    shown = {"id": "t1", "type": "task", "appId": APP, "version": 4}
    lost = {"id": "t2", "type": "task", "appId": APP, "userId": "u", "version": 7}
    world.gateway.narrowed.send_denied(APP, "d1", "c1", [shown, lost])

    data = await client.expect("model_deleted")
    assert (data["model"], data["reason"]) == (lost, "denied")
    assert data["metadata"]["channels"] == ["c1"]
    assert await client.is_quiet()


async def test_a_resync_names_its_channels_and_a_cursor(world: World) -> None:
    client = await live(world, "d1", "c1", "c2")

    world.gateway.narrowed.send_resync(APP, "d1", ["c1"])

    data = await client.expect("resync")
    assert data["channels"] == ["c1"]
    assert isinstance(data["cursor"], str)


async def test_after_a_loss_of_messages_everybody_reads_everything_anew(world: World) -> None:
    first, second = await live(world, "d1", "c1", "c2"), await live(world, "d2", "c3")

    world.gateway.catch_up()

    assert (await first.expect("resync"))["channels"] == ["c1", "c2"]
    assert (await second.expect("resync"))["channels"] == ["c3"]


async def test_a_subscription_that_was_among_the_lost_messages_is_served(world: World) -> None:
    client = await live(world, "d1", "c1")
    await world.registry.subscriptions.put(subscription_to("d1", "c2"), TRANSPORT, world.node)

    world.gateway.catch_up()

    assert (await client.expect("resync"))["channels"] == ["c1"]
    assert (await client.expect("resync"))["channels"] == ["c2"]
    await world.tell(event(1, created=["c2"]))
    await client.expect("model_created")


async def test_the_devices_of_a_node_are_known_with_their_subscriptions(world: World) -> None:
    await live(world, "d1", "c1", "c2")

    (device,) = world.gateway.narrowed.devices(APP)

    assert (device.device_id, device.is_live) == ("d1", True)
    assert [subscription.channel_id for subscription in device.subscriptions] == ["c1", "c2"]
    assert world.gateway.narrowed.devices("another") == []
    presence = await world.registry.presence.get(APP, "d1")
    assert presence.transport == TRANSPORT


async def test_a_device_that_is_not_here_cannot_subscribe(world: World) -> None:
    with pytest.raises(DeviceNotConnected):
        await world.subscribe("d1", "c1")

    assert await world.channels_of("d1") == []
    assert world.gateway.narrowed.devices(APP) == []
