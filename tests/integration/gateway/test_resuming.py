"""Contract §6: what a device that comes back gets of what it missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_world import APP, TRANSPORT, World, delivered, drop, dropped, event, subscription_to
from waiting import eventually

from nexxus.domain.channels import Descriptor, Route
from nexxus.errors import DeviceNotConnected, ServiceUnavailable

NewWorld = Callable[..., Any]


async def test_between_register_and_resume_nothing_overtakes(world: World) -> None:
    cursor = await dropped(world, "c1")
    await delivered(world, event(2, updated=["c1"]))
    client = await world.connect("d1")
    await delivered(world, event(3, updated=["c1"]))

    await client.send("resume", {"cursor": cursor})

    versions = [(await client.expect("model_updated"))["model"]["version"] for _ in range(2)]
    assert versions == [2, 3]
    assert (await client.expect("resume"))["success"]


async def test_frames_that_were_lost_with_the_connection_come_again(world: World) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.tell(event(1, created=["c1"]))
    await client.expect("model_created")
    cursor = client.cursor
    await world.tell(event(2, updated=["c1"]))
    await client.expect("model_updated")  # The client dies before it has kept this one.
    await drop(world, client)

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("model_updated"))["model"]["version"] == 2
    await client.expect("resume")


@pytest.mark.parametrize("is_live", [True, False])
async def test_an_event_of_which_a_part_was_lost_comes_again_as_a_whole(
    world: World, is_live: bool
) -> None:
    cursor = await dropped(world, "c1", "c2")
    client = await world.connect("d1")
    if is_live:
        await client.send("resume", {"cursor": cursor})
        await client.expect("resume")
    await delivered(world, event(2, updated=["c1"], left=["c2"]))
    if not is_live:
        await client.send("resume", {"cursor": cursor})
    await client.expect("model_updated")  # The client dies before it has the other frame.
    cursor = client.cursor
    await drop(world, client)

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    await client.expect("model_updated")
    assert (await client.expect("model_deleted"))["reason"] == "left"
    await client.expect("resume")


@pytest.mark.contract("6. WebSocket", "a subscription over HTTP ends the wait for the first frame")
async def test_a_device_that_subscribes_over_http_is_not_kept_waiting_for_its_first_frame(
    new_world: NewWorld,
) -> None:
    world = await new_world(resume_grace=60.0)
    await dropped(world, "c1")
    client = await world.connect("d1")

    await world.subscribe("d1", "c2")

    await delivered(world, event(2, created=["c2"], updated=["c1"]))
    assert (await client.expect("model_created"))["metadata"]["channels"] == ["c2"]
    assert await world.channels_of("d1") == ["c2"]


async def test_a_subscription_over_http_that_ends_with_those_kept_is_not_confirmed(
    world: World,
) -> None:
    await dropped(world, "c1")
    client = await world.connect("d1")

    await world.registry.subscriptions.put(subscription_to("d1", "c1"), TRANSPORT, world.node)
    await client.send("subscribe", {"model": "c2"}, ref="1")
    await client.expect("reply")

    with pytest.raises(DeviceNotConnected, match="subscribe again"):
        await world.gateway.reconciliation.adopt(APP, "d1", "c1")
    assert await world.channels_of("d1") == ["c2"]


async def test_a_replaced_connections_subscriptions_are_resumed_by_its_successor(
    world: World,
) -> None:
    first = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.tell(event(1, created=["c1"]))
    await first.expect("model_created")
    second = await world.connect("d1")
    await delivered(world, event(2, updated=["c1"]))

    await second.send("resume", {"cursor": first.cursor})

    assert (await second.expect("model_updated"))["model"]["version"] == 2
    assert (await second.expect("resume"))["success"]


async def test_after_a_resync_its_cursor_can_be_resumed_from(world: World) -> None:
    await dropped(world, "c1")
    client = await world.connect("d1")
    await client.send("resume", {"cursor": "x"})
    cursor = (await client.expect("resync"))["cursor"]
    await drop(world, client)
    await delivered(world, event(2, updated=["c1"]))

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("model_updated"))["model"]["version"] == 2
    assert (await client.expect("resume"))["success"]


@pytest.mark.parametrize(
    "limits", [{"resume_frames": 3}, {"resume_bytes": 500}, {"log_deliveries": 3}]
)
async def test_too_much_is_answered_with_a_resync(
    new_world: NewWorld, limits: dict[str, int]
) -> None:
    world = await new_world(**limits)
    cursor = await dropped(world, "c1")
    await delivered(world, *(event(version, updated=["c1"]) for version in range(2, 8)))

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("resync"))["channels"] == ["c1"]


async def test_a_quiet_channel_is_resumed_however_busy_the_others_are(new_world: NewWorld) -> None:
    world = await new_world(log_deliveries=10)
    await world.connect("d2")
    await world.subscribe("d2", "busy")
    cursor = await dropped(world, "quiet")
    await delivered(world, *(event(version, updated=["busy"]) for version in range(2, 40)))
    await delivered(world, event(40, updated=["quiet"]))

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("model_updated"))["model"]["version"] == 40
    assert (await client.expect("resume"))["success"]


async def test_without_a_window_a_replaced_connection_leaves_nothing(new_world: NewWorld) -> None:
    world = await new_world(resume_window=0)
    await world.connect("d1")
    await world.subscribe("d1", "c1")

    second = await world.connect("d1")

    await world.tell(event(1, created=["c1"]))
    assert await second.is_quiet()
    assert await world.channels_of("d1") == []


async def test_a_device_that_says_nothing_starts_without_what_was_kept(
    new_world: NewWorld,
) -> None:
    world = await new_world(resume_grace=0.05)
    cursor = await dropped(world, "c1")
    client = await world.connect("d1")

    async def has_ended() -> bool:
        return await world.channels_of("d1") == []

    await eventually(has_ended)
    await client.send("resume", {"cursor": cursor})
    await client.expect_error("INVALID_PARAMETERS")


async def test_what_has_ended_cannot_be_resumed_over_a_later_connection(
    new_world: NewWorld,
) -> None:
    world = await new_world(resume_grace=0.05)
    cursor = await dropped(world, "c1")
    silent = await world.connect("d1")

    async def has_ended() -> bool:
        return await world.channels_of("d1") == []

    await eventually(has_ended)
    await world.subscribe("d1", "c2")
    await drop(world, silent)
    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("resync"))["channels"] == ["c2"]


async def test_the_cursor_of_the_registering_can_be_resumed_from_though_others_cannot(
    new_world: NewWorld,
) -> None:
    world = await new_world()
    await dropped(world, "c1")
    other = await world.connect("d1")
    await other.send("create", {}, ref="not a resume")
    await other.expect("reply")
    await world.subscribe("d1", "c2")
    await drop(world, other)
    await delivered(world, event(2, created=["c2"]))

    client = await world.connect("d1")
    await client.send("resume", {"cursor": other.cursor})

    assert (await client.expect("model_created"))["metadata"]["channels"] == ["c2"]
    assert (await client.expect("resume"))["success"] is True


async def test_what_was_subscribed_to_since_register_is_resumed_with_the_rest(
    world: World,
) -> None:
    cursor = await dropped(world, "c1")
    await delivered(world, event(2, updated=["c1"], created=["c3"]))
    client = await world.connect("d1")
    await world.subscribe("d1", "c3")
    await delivered(world, event(3, updated=["c1", "c3"]))

    await client.send("resume", {"cursor": cursor})

    first, second = await client.expect("model_updated"), await client.expect("model_updated")
    assert first["metadata"]["channels"] == ["c1"]
    assert second["metadata"]["channels"] == ["c1", "c3"]
    assert (await client.expect("resume"))["success"]


async def test_a_silent_device_cannot_subscribe_but_keeps_what_it_has(world: World) -> None:
    await dropped(world, "c1")

    for channel in ("c1", "c2"):
        with pytest.raises(DeviceNotConnected):
            await world.subscribe("d1", channel)

    assert await world.channels_of("d1") == ["c1"]


async def test_a_device_whose_roles_changed_while_it_was_silent_reads_anew(world: World) -> None:
    cursor = await dropped(world, "c1")
    narrowed = Route("c1#new", APP, Descriptor("task"))
    before = Route("c1", APP, Descriptor("task"))
    with pytest.raises(DeviceNotConnected):
        await world.subscribe("d1", "c1", narrowed.key, narrowing_from=before)
    world.gateway.narrowed.send_denied(
        APP, "d1", "c1", [{"id": "t1", "type": "task", "appId": APP}]
    )

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})

    assert (await client.expect("resync"))["channels"] == ["c1"]
    await world.tell(event(2, updated=["c1#new"]))
    await client.expect("model_updated")


async def test_a_denial_that_was_lost_with_the_connection_cannot_be_resumed_over(
    world: World,
) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    await world.tell(event(1, created=["c1"]))
    await client.expect("model_created")
    cursor = client.cursor
    world.gateway.narrowed.send_denied(
        APP, "d1", "c1", [{"id": "t1", "type": "task", "appId": APP}]
    )
    after = (await client.expect("model_deleted"))["metadata"]["cursor"]
    await drop(world, client)

    client = await world.connect("d1")
    await client.send("resume", {"cursor": cursor})
    assert (await client.expect("resync"))["channels"] == ["c1"]
    assert after != cursor


async def test_a_denial_that_arrived_can_be_resumed_from(world: World) -> None:
    client = await world.connect("d1")
    await world.subscribe("d1", "c1")
    world.gateway.narrowed.send_denied(
        APP, "d1", "c1", [{"id": "t1", "type": "task", "appId": APP}]
    )
    await client.expect("model_deleted")
    await drop(world, client)

    again = await world.connect("d1")
    await again.send("resume", {"cursor": client.cursor})

    assert (await again.expect("resume"))["success"]


async def test_a_registry_that_is_away_delays_the_end_of_a_silence(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await new_world(resume_window=0.02)
    release = world.registry.subscriptions.release
    failures = 0

    async def fail_once(*arguments: Any, **options: Any) -> None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise ServiceUnavailable("away")
        await release(*arguments, **options)

    monkeypatch.setattr(world.registry.subscriptions, "release", fail_once)
    await dropped(world, "c1")

    await eventually(lambda: world.gateway.narrowed.devices(APP) == [])
    assert failures == 2
    assert await world.channels_of("d1") == []
