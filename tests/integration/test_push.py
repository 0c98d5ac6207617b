"""Devices that are away are pushed to, in a whole server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from frames_wire import Frames, Lines
from push_service import PushPlugin, RecordingPushService
from waiting import eventually

from nexxus import Config, Nexxus
from nexxus.interfaces.push_service import PushMessage, Refused, TryLater
from nexxus.interfaces.registry import PushAddress
from nexxus.toolkit.backoff import Backoff

ADMIN_KEY = "an-admin-key-for-tests-only"
APP = "notes"
RULE = {
    "title": "{title}",
    "body": "by {author.name}",
    "on": ["created", "updated", "deleted"],
    "quiet": 0,
    "collapse": "note-{id}",
}
APPLICATION = {
    "id": APP,
    "schema": {
        "note": {
            "title": {"type": "string"},
            "points": {"type": "int", "filterable": True},
            "author": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
        "log": {"text": {"type": "string"}},
    },
    "push": {"note": RULE},
}

QUIET = {**APPLICATION, "push": {"note": {**RULE, "quiet": 3600}}}

contract = partial(pytest.mark.contract, "12. Push")


class Device:
    """A client with a session of its own, connected or not."""

    def __init__(self, world: World, answer: dict[str, Any]) -> None:
        self._world = world
        self.id = answer["device"]["id"]
        self.token = answer["token"]
        self.refresh_token = answer["refreshToken"]
        self.wire = Frames()
        self.connection: Any = None

    async def request(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return await self._world.http.request(method, path, json=body, headers=headers)

    async def put_push(self, push: Any = None) -> httpx2.Response:
        default = {"service": "recording", "token": self.id}
        return await self.request("PUT", "/device", {"push": push or default})

    async def subscribe(self, model: str = "note", **more: Any) -> dict[str, Any]:
        answer = await self.request("POST", "/subscription/", {"model": model, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]  # type: ignore[no-any-return]

    async def describe(self) -> dict[str, Any]:
        return (await self.request("GET", "/device")).json()  # type: ignore[no-any-return]

    async def connect(self, *, resume: str | None = None, wire: Frames | None = None) -> None:
        self.wire = wire or Frames()
        gateway = self._world.nexxus.transports.gateways["websockets"]
        self.connection = gateway.accept(self.wire, Lines())
        self.wire.on_close = self.connection.lost
        await self.connection.request("register", {"token": self.token})
        if resume is not None:
            await self.connection.request("resume", {"cursor": resume})

    def drop(self) -> None:
        """Lose the connection."""
        self.connection.lost()

    async def is_away(self) -> bool:
        presence = await self._world.nexxus.registry.presence.get(APP, self.id)
        return presence is None

    @property
    def pushes(self) -> list[PushMessage]:
        """What it was pushed."""
        return self._world.service.messages(self.id)


class PingedFrames(Frames):
    """A connection whose peer shows signs of life."""

    answers_pings = True


class World:
    """A server with a push service."""

    def __init__(self, nexxus: Nexxus, http: httpx2.AsyncClient, service: Any) -> None:
        self.nexxus = nexxus
        self.http = http
        self.service: RecordingPushService = service

    async def device(self, *, is_persistent: bool = True) -> Device:
        answer = await self.http.post("/device/register", json={"name": "phone"})
        device = Device(self, answer.json())
        if is_persistent:
            put = await device.put_push()
            assert put.status_code == 200, put.text
        return device

    async def write(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body, headers={"prefer": "wait=10"})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["data"]

    async def create(self, **fields: Any) -> Any:
        return await self.write("POST", "/model/note", {"title": "New", **fields})

    async def end_quiet_time(self, *, notices: int) -> None:
        """Let an hour pass for the schedule, once so many notices wait."""
        pushes: Any = self.nexxus.registry.pushes

        async def are_there() -> bool:
            return bool(await pushes.waiting() == notices)

        await eventually(are_there)
        pushes._clock = lambda: time.time() + 3600

    async def put_application(self, **changes: Any) -> None:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        path = f"/admin/applications/{APP}"
        answer = await self.http.put(path, json=changes, headers=headers)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def serving(
    data_dir: Path, *, application: Any = APPLICATION, **push: Any
) -> AsyncIterator[World]:
    plugin = PushPlugin()
    settings = {
        "server": {"data_dir": str(data_dir)},
        "admin": {"key": ADMIN_KEY},
        "auth": {"time_cost": 1, "memory_cost": 8},
        "logger": {"level": "critical"},
        "gateway": {"resume_grace": 0.2},
        "push": {"services": ["recording"], **push},
        "applications": [application],
    }
    async with (
        Nexxus(Config.from_mapping(settings, plugins=[plugin])) as nexxus,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(nexxus.app),
            base_url="http://nexxus",
            headers={"nxx-app-id": APP},
        ) as http,
    ):
        yield World(nexxus, http, plugin.service)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path) as world:
        yield world


# What a client may ask for


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


# What is pushed


@contract("a push has the application's text")
async def test_a_rule_says_what_is_shown(world: World) -> None:
    device = await world.device()
    channel = (await device.subscribe())["channelId"]
    note = await world.create(id="n1", title="Milk", author={"name": "Ann"})
    (message,) = await eventually(lambda: device.pushes)
    assert message == PushMessage(
        {"event": "model_created", "channels": [channel], "model": "note", "id": note["id"]},
        title="Milk",
        body="by Ann",
        collapse="note-n1",
    )


@contract("without a rule the push is silent")
async def test_without_a_rule_a_push_is_silent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.push.expansion.DEFAULT_QUIET", 0.0)
    device = await world.device()
    channel = (await device.subscribe("log"))["channelId"]
    await world.write("POST", "/model/log", {"id": "l1", "text": "secret"})
    (message,) = await eventually(lambda: device.pushes)
    assert message.is_silent
    assert message.data == {
        "event": "model_created",
        "channels": [channel],
        "model": "log",
        "id": "l1",
    }


async def test_each_occasion_is_pushed_as_its_channel_sees_it(world: World) -> None:
    device = await world.device()
    await device.subscribe(filter={"points": {"gte": 5}})
    patch = partial(world.write, "PUT", "/model/note/n1")

    def is_last(event: str, title: str) -> bool:
        *_, message = device.pushes or [PushMessage({"event": "none yet"})]
        return (message.data["event"], message.title) == (event, title)

    await world.create(id="n1", title="One", points=1)
    await patch({"patch": {"op": "replace", "path": ["points"], "value": [5]}})
    await eventually(lambda: is_last("model_created", "One"))
    await patch({"patch": {"op": "replace", "path": ["title"], "value": ["Two"]}})
    await eventually(lambda: is_last("model_updated", "Two"))
    await patch({"patch": {"op": "replace", "path": ["points"], "value": [1]}})
    await eventually(lambda: is_last("model_deleted", "Two"))
    assert len(device.pushes) == 3


async def test_a_rule_says_what_is_not_pushed_at_all(tmp_path: Path) -> None:
    rule = {**RULE, "on": ["created"], "filter": {"points": {"gt": 1}}}
    async with serving(tmp_path, application={**APPLICATION, "push": {"note": rule}}) as world:
        device = await world.device()
        await device.subscribe()
        await world.create(id="n1", points=1)
        await world.create(id="n2", points=2)
        await eventually(lambda: device.pushes)
        await world.write("DELETE", "/model/note/n2")
        await world.create(id="n3", points=3)
        await eventually(lambda: len(device.pushes) == 2)
        assert [message.data["id"] for message in device.pushes] == ["n2", "n3"]
        assert all("count" not in message.data for message in device.pushes)


@contract("pushes of one device within quiet seconds become one")
async def test_the_pushes_of_a_quiet_time_become_one(tmp_path: Path) -> None:
    async with serving(tmp_path, application=QUIET) as world:
        device = await world.device()
        both = [
            (await device.subscribe())["channelId"],
            (await device.subscribe(filter={"points": 3}))["channelId"],
        ]
        for number in range(4):
            await world.create(id=f"n{number}", title=f"Note {number}", points=number)
        await world.end_quiet_time(notices=5)
        (message,) = await eventually(lambda: device.pushes)
        assert message.title == "Note 3"
        assert message.data["id"] == "n3"
        assert message.data["count"] == 4
        assert sorted(message.data["channels"]) == sorted(both)


@contract("an application's push rules are validated")
@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"ufo": RULE}, "push.ufo"),
        ({"note": {**RULE, "titel": "x"}}, "push.note.titel"),
        ({"note": {**RULE, "title": ""}}, "push.note.title"),
        ({"note": {**RULE, "body": "{bdy}"}}, "push.note.body"),
        ({"note": {**RULE, "body": "{author}"}}, "push.note.body"),
        ({"note": {**RULE, "on": ["written"]}}, "push.note"),
        ({"note": {**RULE, "filter": {"title": "x"}}}, "push.note"),
        ({"note": {**RULE, "quiet": -1}}, "push.note.quiet"),
        ({"note": 1}, "push.note"),
    ],
)
async def test_a_rule_that_cannot_work_is_refused(world: World, rule: Any, field: str) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    path = f"/admin/applications/{APP}"
    answer = await world.http.put(path, json={"push": rule}, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["details"]["field"] == field


# Who is away


@contract("while it is connected it receives frames and no pushes")
async def test_a_connected_device_is_not_pushed_to(world: World) -> None:
    device, other = await world.device(), await world.device()
    await device.connect()
    await device.subscribe()
    await other.subscribe()
    await world.create(id="n1")
    await eventually(lambda: device.wire.named("model_created"))
    await eventually(lambda: other.pushes)
    assert device.pushes == []


@contract("a persistent device's subscriptions survive disconnects")
async def test_a_device_is_pushed_to_as_soon_as_its_connection_is_lost(world: World) -> None:
    device = await world.device()
    await device.connect()
    await device.subscribe()
    device.drop()
    await eventually(device.is_away)
    await world.create(id="n1")
    (message,) = await eventually(lambda: device.pushes)
    assert message.data["id"] == "n1"


@contract("on connecting it gets resync")
async def test_a_device_that_connects_reads_its_channels_again(world: World) -> None:
    device = await world.device()
    channel = (await device.subscribe())["channelId"]
    await world.create(id="n1")
    await eventually(lambda: device.pushes)
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert resync["channels"] == [channel]
    await world.create(id="n2")
    (created,) = await eventually(lambda: device.wire.named("model_created"))
    assert created["model"]["id"] == "n2"
    assert len(device.pushes) == 1


@contract("on connecting it gets resync unless it can resume")
async def test_a_device_that_comes_back_in_time_resumes(world: World) -> None:
    device = await world.device()
    await device.connect()
    await device.subscribe()
    await world.create(id="n1")
    (created,) = await eventually(lambda: device.wire.named("model_created"))
    device.drop()
    await eventually(device.is_away)
    await world.create(id="n2")
    await eventually(lambda: device.pushes)
    await device.connect(resume=created["metadata"]["cursor"])
    await eventually(lambda: device.wire.named("resume"))
    assert [each["model"]["id"] for each in device.wire.named("model_created")] == ["n2"]
    assert device.wire.named("resync") == []


async def test_a_device_that_comes_back_in_time_without_a_cursor_keeps_its_channels(
    world: World,
) -> None:
    device = await world.device()
    await device.connect()
    channel = (await device.subscribe())["channelId"]
    device.drop()
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert resync["channels"] == [channel]
    assert (await device.describe())["subscriptions"] == [channel]


async def test_a_subscription_that_is_made_while_its_device_is_silent_is_served_when_it_comes(
    world: World,
) -> None:
    device = await world.device()
    await device.connect()
    first = (await device.subscribe())["channelId"]
    device.drop()
    await eventually(device.is_away)
    second = (await device.subscribe(filter={"points": 1}))["channelId"]
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert sorted(resync["channels"]) == sorted([first, second])
    await world.create(points=1)
    (created,) = await eventually(lambda: device.wire.named("model_created"))
    assert sorted(created["metadata"]["channels"]) == sorted([first, second])


async def test_a_device_that_becomes_persistent_while_connected_keeps_what_it_follows(
    world: World,
) -> None:
    device = await world.device(is_persistent=False)
    await device.connect()
    channel = (await device.subscribe())["channelId"]
    await device.put_push()
    device.drop()
    await eventually(device.is_away)
    await world.create(id="n1")
    await eventually(lambda: device.pushes)
    await device.connect()
    (resync,) = await eventually(lambda: device.wire.named("resync"))
    assert resync["channels"] == [channel]


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


async def test_what_waits_for_a_device_that_comes_back_is_not_pushed(tmp_path: Path) -> None:
    async with serving(tmp_path, application=QUIET) as world:
        device, other = await world.device(), await world.device()
        await device.subscribe()
        await other.subscribe()
        await world.create()
        await device.connect()
        await world.end_quiet_time(notices=2)
        await eventually(lambda: other.pushes)
        await eventually(lambda: device.wire.named("resync"))
        assert device.pushes == []


async def test_what_was_on_its_way_to_a_connection_that_was_lost_is_pushed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await world.device()
    await device.connect()
    await device.subscribe()
    gateway = world.nexxus.transports.gateways["websockets"]
    disconnect = world.nexxus.registry.presence.disconnect
    may_go_on = asyncio.Event()

    async def disconnect_when_let(presence: Any) -> None:
        await may_go_on.wait()
        await disconnect(presence)

    monkeypatch.setattr(world.nexxus.registry.presence, "disconnect", disconnect_when_let)
    device.drop()
    deliveries = gateway.counters.deliveries
    await world.create(id="n1", title="In between")
    await eventually(lambda: gateway.counters.deliveries > deliveries)
    assert device.pushes == []
    may_go_on.set()

    (message,) = await eventually(lambda: device.pushes)
    assert (message.data["id"], message.title) == ("n1", "In between")


@pytest.mark.parametrize("orderly", [True, False])
async def test_what_a_dead_peer_was_sent_is_pushed_and_what_an_orderly_one_was_is_not(
    world: World, orderly: bool
) -> None:
    device, other = await world.device(), await world.device()
    await device.connect(wire=PingedFrames())
    await device.subscribe()
    await world.create(id="n1", title="Before a sign of life")
    await eventually(lambda: device.wire.named("model_created"))
    device.connection.heard()
    await world.create(id="n2", title="After it")
    await eventually(lambda: len(device.wire.named("model_created")) == 2)
    if orderly:
        device.connection.closed_by_peer()
    device.drop()
    await eventually(device.is_away)
    await other.subscribe(filter={"points": 3})
    await world.create(id="n3", title="While away", points=3)

    def events() -> int:
        return sum(message.data.get("count", 1) for message in device.pushes)

    await eventually(lambda: other.pushes)
    await eventually(lambda: events() == (1 if orderly else 2))
    assert "n1" not in {message.data["id"] for message in device.pushes}


async def test_a_device_that_left_before_it_was_served_is_told_that_it_missed_something(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.gateway.devices.absences.RESYNC_WITHIN", 0.0)
    device = await world.device()
    await device.subscribe()
    await device.connect()
    device.drop()
    (message,) = await eventually(lambda: device.pushes)
    assert message == PushMessage({"event": "resync", "channels": []})


# When it ends


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


# When something fails


async def test_what_a_service_cannot_take_now_is_pushed_later(world: World) -> None:
    device = await world.device()
    await device.subscribe()
    world.service.outcomes[device.id] = [TryLater("busy", 0.0), TryLater("busy", 0.0)]
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


async def test_a_service_that_fails_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.push.sender._SEND_AGAIN", Backoff(first=0.01, longest=0.01))
    device = await world.device()
    await device.subscribe()
    world.service.outcomes[device.id] = [RuntimeError("a bug"), RuntimeError("a bug")]
    await world.create()
    await eventually(lambda: device.pushes)


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


async def test_persistent_devices_survive_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(serving(tmp_path))
        device = await world.device()
        channel = (await device.subscribe())["channelId"]
    async with serving(tmp_path) as world:
        device._world = world
        assert (await device.describe())["subscriptions"] == [channel]
        await world.create(id="n1")
        (message,) = await eventually(lambda: device.pushes)
        assert message.data["id"] == "n1"


# Roles


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
