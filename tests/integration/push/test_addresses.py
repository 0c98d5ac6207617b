"""Contract §12: what a device may ask for, and until when it is persistent."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from push_world import APP, World, serving
from waiting import eventually

from nexxus.interfaces.registry import PushAddress

contract = partial(pytest.mark.contract, "12. Push")


@contract("a device with a push address is persistent, and null removes it")
async def test_a_device_becomes_persistent_and_volatile_again(world: World) -> None:
    device = await world.device(is_persistent=False)
    assert (await device.describe())["type"] == "unknown"
    await device.put_push()
    assert (await device.describe())["type"] == "persistent"
    assert (await device.request("PUT", "/device", {"push": None})).status_code == 200
    assert (await device.describe())["type"] == "unknown"


@contract("a service that is not installed is a 400")
@pytest.mark.parametrize(
    "push",
    [
        {"service": "apns", "token": "t"},
        {"token": "t"},
        {"service": 1},
        {"service": "recording"},
        {"service": "recording", "token": "t", "tokn": "t"},
    ],
)
async def test_an_address_that_cannot_be_used_is_refused(world: World, push: Any) -> None:
    device = await world.device(is_persistent=False)
    answer = await device.put_push(push)
    assert answer.status_code == 400
    assert answer.json()["details"]["field"].startswith("push")
    assert (await device.describe())["type"] == "unknown"


async def test_a_change_of_nothing_is_refused(world: World) -> None:
    device = await world.device(is_persistent=False)
    assert (await device.request("PUT", "/device", {})).status_code == 400
    assert (await device.request("PUT", "/device", {"name": "tablet"})).status_code == 200
    assert (await device.describe())["name"] == "tablet"


@contract("the VAPID key")
async def test_the_public_key_is_shown_if_a_service_has_one(world: World) -> None:
    assert (await world.http.get("/push/vapid")).json() == {"key": "a public key"}


async def test_without_a_push_service_there_is_no_key(tmp_path: Path) -> None:
    async with serving(tmp_path, services=[]) as world:
        assert (await world.http.get("/push/vapid")).status_code == 404


@contract("a persistent device's subscriptions need no connection")
async def test_a_persistent_device_subscribes_without_a_connection(world: World) -> None:
    await world.create(id="n1")
    volatile = await world.device(is_persistent=False)
    refused = await volatile.request("POST", "/subscription/", {"model": "note"})
    assert (refused.status_code, refused.json()["error"]) == (409, "DeviceNotConnectedException")

    device = await world.device()
    subscribed = await device.subscribe()
    assert [item["id"] for item in subscribed["items"]] == ["n1"]
    assert (await device.describe())["subscriptions"] == [subscribed["channelId"]]
    answer = await device.request("DELETE", "/subscription/", {"model": "note"})
    assert answer.status_code == 200
    assert (await device.describe())["subscriptions"] == []


@contract("push: null removes the address")
async def test_a_device_that_is_volatile_again_is_pushed_nothing(world: World) -> None:
    device, other = await world.device(), await world.device()
    await device.subscribe()
    await other.subscribe()
    await device.request("PUT", "/device", {"push": None})
    assert (await device.describe())["subscriptions"] == []
    await world.create()
    await eventually(lambda: other.pushes)
    assert device.pushes == []


@contract("subscriptions end with the session")
async def test_a_device_that_logs_out_is_pushed_nothing_more(world: World) -> None:
    device, other = await world.device(), await world.device()
    await device.subscribe()
    await other.subscribe()
    body = {"refreshToken": device.refresh_token}
    assert (await world.http.post("/auth/logout", json=body)).status_code == 200
    await world.create()
    await eventually(lambda: other.pushes)
    assert device.pushes == []
    assert await world.nexxus.registry.subscriptions.of_device(APP, device.id) == []


async def test_a_session_that_has_expired_ends_the_subscriptions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await world.device()
    await device.subscribe()
    sessions = world.nexxus.registry.sessions

    async def none(*_: Any) -> None:
        return None

    monkeypatch.setattr(sessions, "of_device", none)
    await world.create()
    subscriptions = world.nexxus.registry.subscriptions

    async def has_none() -> bool:
        return await subscriptions.of_device(APP, device.id) == []

    await eventually(has_none)
    assert device.pushes == []


@contract("the service's refusal makes the device volatile")
async def test_a_device_that_the_service_says_is_gone_becomes_volatile(world: World) -> None:
    device = await world.device()
    await device.subscribe()
    world.service.refuse(device.id)
    await world.create()

    async def is_volatile() -> bool:
        described = await device.describe()
        return described["type"] == "unknown" and described["subscriptions"] == []

    await eventually(is_volatile)


async def test_a_refusal_of_a_former_address_leaves_the_new_one(world: World) -> None:
    device = await world.device()
    await device.subscribe()
    world.service.may_send.clear()
    world.service.refuse(device.id)
    await world.create(id="n1")
    await eventually(lambda: world.service.calls)
    await device.put_push({"service": "recording", "token": "new"})
    world.service.may_send.set()
    await world.create(id="n2")
    await eventually(lambda: world.service.messages("new"))
    stored = await world.nexxus.registry.devices.get(APP, device.id)
    assert stored is not None
    assert stored.push == PushAddress("recording", {"token": "new"})


@contract("subscriptions end after push.retention without a connection")
async def test_a_device_that_was_not_seen_for_long_becomes_volatile(tmp_path: Path) -> None:
    async with serving(tmp_path, retention=0.001) as world:
        device = await world.device()
        await device.subscribe()

        async def is_volatile() -> bool:
            await world.create()
            return (await device.describe())["type"] == "unknown"

        await eventually(is_volatile)
