"""Contract §12: a push has nothing that its user may not read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from push_world import APPLICATION, Device, World, serving
from waiting import eventually

from nexxus.interfaces.push_service import TryLater

contract = partial(pytest.mark.contract, "12. Push")


ACL = {
    **APPLICATION,
    "auth": {
        "strategies": {"local": {}},
        "acl": True,
        "userTypes": {"default": {"roles": ["reader"]}, "staff": {"roles": ["staff"]}},
    },
    "schema": {
        "note": {
            "title": {"type": "string"},
            "points": {"type": "int", "filterable": True, "acl": True},
            "author": {"type": "object", "properties": {"name": {"type": "string"}}},
        }
    },
}


def roles(at_most: int) -> Any:
    condition = {"filter": {"points": {"lte": at_most}}}
    reading = {"effect": "Allow", "action": ["read"], "resource": ["note"], "condition": condition}
    everything = {"effect": "Allow", "action": ["*"], "resource": ["*"]}
    return {"staff": {"statements": [everything]}, "reader": {"statements": [reading]}}


class Staff:
    """A user who may write everything, and a reader's device."""

    def __init__(self, world: World, token: str, reader: Device) -> None:
        self._world = world
        self._token = token
        self.reader = reader

    async def create(self, **fields: Any) -> None:
        headers = {"authorization": f"Bearer {self._token}", "prefer": "wait=10"}
        body = {"title": "New", **fields}
        answer = await self._world.http.post("/model/note", json=body, headers=headers)
        assert answer.status_code == 201, answer.text


async def sign_in(world: World) -> Staff:
    body = {"username": "reader", "password": "correct horse"}
    reader = Device(world, (await world.http.post("/user/register", json=body)).json())
    staff = {"username": "boss", "password": "correct horse", "userType": "staff"}
    token = (await world.http.post("/user/register", json=staff)).json()["token"]
    await reader.put_push()
    await reader.subscribe()
    return Staff(world, token, reader)


@contract("a push has nothing that the user may not read")
async def test_a_device_is_pushed_only_what_its_user_may_read(tmp_path: Path) -> None:
    async with serving(tmp_path, application={**ACL, "roles": roles(5)}) as world:
        staff = await sign_in(world)
        await staff.create(id="n9", points=9)
        await staff.create(id="n1", points=1)
        (message,) = await eventually(lambda: staff.reader.pushes)
        assert message.data["id"] == "n1"
        assert "count" not in message.data


async def test_a_device_that_is_away_follows_a_change_of_roles(tmp_path: Path) -> None:
    async with serving(tmp_path, application={**ACL, "roles": roles(5)}) as world:
        staff = await sign_in(world)
        await world.put_application(roles=roles(1))
        await staff.create(id="n5", points=5)
        await staff.create(id="n1", points=1)
        (message,) = await eventually(lambda: staff.reader.pushes)
        assert message.data["id"] == "n1"
        await world.put_application(roles=roles(9))
        await staff.create(id="n9", points=9)
        await eventually(lambda: len(staff.reader.pushes) == 2)


async def test_a_device_that_is_away_is_pushed_nothing_once_its_session_has_ended(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, application={**ACL, "roles": roles(5)}) as world:
        staff = await sign_in(world)
        await world.put_application(signingSecret="another-signing-secret-of-a-good-length")
        subscriptions = world.nexxus.registry.subscriptions
        assert await subscriptions.of_device(APPLICATION["id"], staff.reader.id) == []


async def test_a_text_that_waits_when_roles_change_is_not_shown(tmp_path: Path) -> None:
    async with serving(tmp_path, application={**ACL, "roles": roles(5)}) as world:
        staff = await sign_in(world)
        world.service.outcomes[staff.reader.id] = [TryLater("busy", 0.5)]
        await staff.create(id="n5", title="Secret", points=5)
        await eventually(lambda: world.service.calls == 1)
        await world.put_application(roles=roles(1))
        (message,) = await eventually(lambda: staff.reader.pushes)
        assert message.is_silent


async def test_a_device_that_connects_after_a_change_of_roles_is_served_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, application={**ACL, "roles": roles(5)}) as world:
        staff = await sign_in(world)

        async def nothing(*_: Any) -> bool:
            return False

        # Nobody has given its subscription another route yet.
        monkeypatch.setattr(world.nexxus.registry.subscriptions, "put_away", nothing)
        await world.put_application(roles=roles(1))
        await staff.reader.connect()
        await eventually(lambda: staff.reader.wire.named("resync"))
        await staff.create(id="n5", points=5)
        await staff.create(id="n1", points=1)
        (created,) = await eventually(lambda: staff.reader.wire.named("model_created"))
        assert created["model"]["id"] == "n1"
