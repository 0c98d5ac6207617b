"""Devices: their names and descriptions."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from accounts_world import CHANNEL, AccountsWorld
from msgspec import UNSET

from nexxus.accounts.devices import DeviceDescription
from nexxus.errors import InvalidParameters, NotFound

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")


@contract("devices")
async def test_a_device_that_was_never_connected_is_unknown_and_offline(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann", device={"name": "phone"})

    described = await world.accounts.devices.get(await world.identify(session))

    assert described == DeviceDescription(
        id=session.device.id,
        app_id="app",
        user_id=session.user.id,
        name="phone",
        type="unknown",
        status="offline",
        transport=None,
        last_seen="1970-01-12T13:46:40Z",
        subscriptions=[],
    )


@contract("devices")
async def test_a_connected_device_is_online_with_its_subscriptions(world: AccountsWorld) -> None:
    session = await world.register("ann")
    await world.connect(session)
    world.clock.advance(60)

    described = await world.accounts.devices.get(await world.identify(session))

    assert (described.type, described.status) == ("volatile", "online")
    assert described.transport == "websockets"
    assert described.last_seen == "1970-01-12T13:47:40Z"
    assert described.subscriptions == [CHANNEL]


@contract("devices")
async def test_a_device_was_last_seen_when_it_was_connected(world: AccountsWorld) -> None:
    session = await world.register("ann")
    presence = await world.connect(session)
    world.clock.advance(60)
    await world.registry.presence.disconnect(presence)
    world.clock.advance(60)

    described = await world.accounts.devices.get(await world.identify(session))

    assert (described.status, described.last_seen) == ("offline", "1970-01-12T13:47:40Z")


@contract("devices")
async def test_a_device_is_renamed(world: AccountsWorld) -> None:
    session = await world.register("ann")
    identity = await world.identify(session)

    await world.accounts.devices.rename(identity, "kitchen")

    assert (await world.accounts.devices.get(identity)).name == "kitchen"


@contract("devices")
@pytest.mark.parametrize("name", ["", 7, None, "x" * 257])
async def test_an_invalid_name_is_refused(world: AccountsWorld, name: Any) -> None:
    identity = await world.identify(await world.register("ann"))

    with pytest.raises(InvalidParameters):
        await world.accounts.devices.rename(identity, name)
    with pytest.raises(InvalidParameters):
        await world.accounts.devices.register(world.app, name, None)


@contract("devices")
async def test_the_devices_of_a_user_are_listed(world: AccountsWorld) -> None:
    first, second = await world.register("ann"), await world.sign_in("ann")
    await world.register("stranger")

    listed = await world.accounts.devices.list(await world.identify(second))

    assert [device.id for device in listed] == [first.device.id, second.device.id]


@contract("devices")
async def test_a_device_without_a_user_lists_itself(world: AccountsWorld) -> None:
    world.app.auth = None
    device = await world.accounts.devices.register(world.app, "sensor", None)
    tokens = await world.accounts.sessions.begin(world.app, device, None)
    identity = await world.accounts.sessions.verify("app", tokens.token)

    (listed,) = await world.accounts.devices.list(identity)

    assert (listed.id, listed.user_id) == (device.id, UNSET)


@contract("devices")
async def test_a_login_reuses_only_the_users_own_device(world: AccountsWorld) -> None:
    own = (await world.register("ann")).device
    foreign = (await world.register("stranger")).device

    again = await world.sign_in("ann", device={"id": own.id, "name": "kitchen"})
    assert (again.device.id, again.device.name) == (own.id, "kitchen")
    unnamed = await world.sign_in("ann", device={"id": own.id})
    assert unnamed.device.name == "kitchen"
    for stale in (foreign.id, "no-such-device"):
        session = await world.sign_in("ann", device={"id": stale})
        assert session.device.id not in (own.id, stale)
        assert session.device.name == "device"


@contract("devices")
async def test_a_deleted_device_is_not_found(world: AccountsWorld) -> None:
    session = await world.register("ann")
    identity = await world.identify(session)
    await world.registry.devices.delete("app", [session.device.id])

    with pytest.raises(NotFound):
        await world.accounts.devices.get(identity)
