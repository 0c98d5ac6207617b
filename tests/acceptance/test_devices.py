"""Contract §3: devices."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from client import unique

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")


@contract("no users without auth")
async def test_without_auth_a_device_is_a_session(app: Any, new_client: Any) -> None:
    client = new_client(app)

    answer = await client.ok("POST", "/device/register", {"name": "tablet"})

    assert set(answer) == {"message", "device", "token", "refreshToken"}
    assert answer["device"] == {
        "id": answer["device"]["id"],
        "name": "tablet",
        "appId": app["id"],
    }
    client.adopt(answer)
    await client.ok("GET", "/device")


@contract("devices")
async def test_a_device_describes_itself(user: Any) -> None:
    device = await user.ok("GET", "/device")

    assert set(device) <= {
        *("id", "appId", "name", "userId", "type", "status", "transport", "lastSeen"),
        "subscriptions",
    }
    assert device["id"] == user.device_id
    assert device["appId"] == user.app_id
    assert device["userId"] == user.user_id
    assert device["type"] in ("volatile", "persistent", "unknown")
    assert device.get("status", "unknown") in ("online", "offline", "unknown")
    assert device["subscriptions"] == []


@contract("devices")
async def test_a_connected_device_is_online_with_its_subscriptions(user: Any) -> None:
    await user.connect()
    view = await user.subscribe("task")

    device = await user.ok("GET", "/device")

    assert device["type"] == "volatile"
    assert device["status"] == "online"
    assert isinstance(device["transport"], str)
    assert view.channel_id in json.dumps(device["subscriptions"])


@contract("devices")
async def test_a_device_is_renamed(user: Any) -> None:
    assert set(await user.ok("PUT", "/device", {"name": "kitchen"})) == {"message"}

    assert (await user.ok("GET", "/device"))["name"] == "kitchen"
    await user.refused("PUT", "/device", {"name": 7}, "name")
    await user.refused("PUT", "/device", {}, "name")


@contract("devices")
async def test_the_devices_of_a_user_are_listed(user: Any, signed: Any, new_client: Any) -> None:
    other = await new_client(signed).sign_in(user.username)
    await new_client(signed).register_user(unique("stranger"))

    listed = await user.ok("GET", "/device/list")

    assert set(listed) == {"devices"}
    assert {device["id"] for device in listed["devices"]} == {user.device_id, other.device_id}


@contract("devices")
async def test_a_signed_in_user_adds_a_device(user: Any, new_client: Any) -> None:
    answer = await user.ok("POST", "/device/register", {"name": "watch"})

    assert answer["device"] == {
        "id": answer["device"]["id"],
        "name": "watch",
        "userId": user.user_id,
        "appId": user.app_id,
    }
    watch = new_client(user.app_id).adopt(answer)
    assert (await watch.ok("GET", "/user/me"))["id"] == user.user_id
    await user.ok("GET", "/user/me")
