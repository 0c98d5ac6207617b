"""RoleTasks that change while events are under way, in a whole server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from frames_wire import Frames, Lines
from waiting import eventually

from nexxus import Config, Nexxus
from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.domain.channels import Subscription
from nexxus.errors import ServiceUnavailable
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.broker import TRANSPORT_MANAGER, Broker, Consumer, Group

ADMIN_KEY = "an-admin-key-for-tests-only"
STAFF = {"statements": [{"effect": "Allow", "action": ["*"], "resource": ["*"]}]}


class SlowRouting(InProcessBroker):
    """Events wait on their way to the transport manager until `may_go_on`."""

    def __init__(self, may_go_on: asyncio.Event) -> None:
        super().__init__(InProcessBrokerSettings())
        self._may_go_on = may_go_on

    async def consume(self, group: Group[Any], **options: Any) -> Consumer[Any]:
        consumer = await super().consume(group, **options)
        if group == TRANSPORT_MANAGER:
            take = consumer.take

            async def take_when_let(limit: int) -> Any:
                await self._may_go_on.wait()
                taken = await take(limit)
                await self._may_go_on.wait()
                return taken

            consumer.take = take_when_let  # type: ignore[method-assign]
        return consumer


class SlowRoutingPlugin:
    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    @hookimpl
    def nexxus_brokers(self) -> list[Adapter]:
        def create(settings: Any, context: AdapterContext) -> Broker:
            return SlowRouting(self.may_go_on)

        return [Adapter("slow-routing", None, create, interface=1, scope="process")]


class World:
    """A server whose readers may see some tasks, a reader's connection, and who changes things."""

    def __init__(self, nexxus: Nexxus, http: httpx2.AsyncClient, may_go_on: asyncio.Event) -> None:
        self.nexxus = nexxus
        self.http = http
        self.routing = may_go_on
        self.wire = Frames()
        self.staff_wire = Frames()
        self.other_wire = Frames()
        self.staff: dict[str, str] = {}
        self.reader: dict[str, str] = {}
        self.other: dict[str, str] = {}
        self._device_ids: dict[str, str] = {}

    async def sign_in(self) -> None:
        self.staff = await self._register("boss", userType="staff")
        self.reader = await self._register("reader")
        self.other = await self._register("other")
        await self._connect(self.staff, self.staff_wire)
        await self._connect(self.reader, self.wire)
        await self._connect(self.other, self.other_wire)

    async def _connect(self, headers: dict[str, str], wire: Frames) -> None:
        connection = self.nexxus.transports.gateways["websockets"].accept(wire, Lines())
        wire.on_close = connection.lost
        token = headers["authorization"].removeprefix("Bearer ")
        await connection.request("register", {"token": token})

    async def _register(self, name: str, **more: str) -> dict[str, str]:
        body = {"username": name, "password": "correct horse", **more}
        session = (await self.http.post("/user/register", json=body)).json()
        self._device_ids[name] = session["device"]["id"]
        return {"authorization": f"Bearer {session['token']}"}

    def device(self, name: str) -> Any:
        """A user's device as the gateway has it."""
        for device in self.nexxus.transports.gateways["websockets"].narrowed.devices("roles"):
            if device.device_id == self._device_ids[name]:
                return device
        raise AssertionError(f"no device of {name}'s is here")

    async def placed(self, name: str) -> list[Subscription]:
        """The subscriptions of a user's device as the registry has them."""
        return await self.nexxus.registry.subscriptions.of_device("roles", self._device_ids[name])

    async def write(self, method: str, path: str, body: Any) -> None:
        headers = {**self.staff, "prefer": "wait=10"}
        answer = await self.http.request(method, path, json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text

    async def subscribe(self, filter: Any, headers: dict[str, str] | None = None) -> Any:
        body = {"model": "task", "filter": filter}
        answer = await self.http.post("/subscription/", json=body, headers=headers or self.reader)
        return answer.json()["data"]

    async def unsubscribe(self, filter: Any) -> None:
        body = {"model": "task", "filter": filter}
        answer = await self.http.request("DELETE", "/subscription/", json=body, headers=self.reader)
        assert answer.status_code == 200, answer.text

    async def let_readers_see(self, *statuses: str) -> None:
        await self.put_roles(roles(*statuses))

    async def put_roles(self, roles: Any) -> None:
        await self.put(roles=roles)

    async def put(self, **changes: Any) -> None:
        answer = await self.http.put(
            "/admin/applications/roles",
            json=changes,
            headers={"authorization": f"Bearer {ADMIN_KEY}"},
        )
        assert answer.status_code == 200, answer.text


def roles(*statuses: str) -> Any:
    condition = {"filter": {"status": {"in": list(statuses)}}}
    reading = {"effect": "Allow", "action": ["read"], "resource": ["task"], "condition": condition}
    return {"staff": STAFF, "reader": {"statements": [reading]}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    plugin = SlowRoutingPlugin()
    application = {
        "id": "roles",
        "auth": {
            "strategies": {"local": {}},
            "acl": True,
            "userTypes": {"default": {"roles": ["reader"]}, "staff": {"roles": ["staff"]}},
        },
        "roles": roles("todo", "done"),
        "schema": {
            "task": {
                "status": {"type": "string", "filterable": True, "acl": True},
                "points": {"type": "int", "filterable": True},
            }
        },
    }
    settings = {
        "server": {"data_dir": str(tmp_path)},
        "admin": {"key": ADMIN_KEY},
        "auth": {"time_cost": 1, "memory_cost": 8},
        "logger": {"level": "critical"},
        "broker": {"adapter": "slow-routing"},
        "applications": [application],
    }
    async with (
        Nexxus(Config.from_mapping(settings, plugins=[plugin])) as nexxus,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(nexxus.app),
            base_url="http://nexxus",
            headers={"nxx-app-id": "roles"},
        ) as http,
    ):
        world = World(nexxus, http, plugin.may_go_on)
        await world.sign_in()
        try:
            yield world
        finally:
            plugin.may_go_on.set()


@pytest.mark.contract("2. Applications", "roles: a change narrows live subscriptions anew")
@pytest.mark.parametrize("change", [{"points": 0}, {"status": "todo"}, None])
async def test_what_was_under_way_when_roles_changed_is_read_anew(
    world: World, change: dict[str, Any] | None
) -> None:
    await world.write("POST", "/model/task", {"id": "t", "status": "done", "points": 1})
    subscribed = await world.subscribe({"points": {"gte": 1}})
    assert [item["id"] for item in subscribed["items"]] == ["t"]
    world.routing.clear()

    if change is None:
        await world.write("DELETE", "/model/task/t", None)
    else:
        (name, value), *_ = change.items()
        patch = {"op": "replace", "path": name, "value": value}
        await world.write("PUT", "/model/task/t", {"patch": patch})
    await world.let_readers_see("todo")
    world.routing.set()

    def is_told() -> bool:
        told = (*world.wire.named("model_deleted"), *world.wire.named("model_updated"))
        anew = world.wire.named("resync")
        return any(each["model"]["version"] == 2 for each in told) or any(
            each["channels"] == [subscribed["channelId"]] for each in anew
        )

    await eventually(is_told)


SOME = {"status": {"in": ["todo", "done"]}}


@pytest.mark.contract("2. Applications", "roles: a change narrows live subscriptions anew")
async def test_a_channel_id_from_other_roles_does_not_mix_two_queries(world: World) -> None:
    # The reader's channel of everything has the id of what the role permits...
    everything = (await world.subscribe({}))["channelId"]
    await world.put_roles({"staff": STAFF, "reader": STAFF})
    # ...which another one may ask for, who may see more.
    assert (await world.subscribe(SOME, world.staff))["channelId"] == everything

    await world.write("POST", "/model/task", {"id": "t1", "status": "doing"})
    await world.write("POST", "/model/task", {"id": "t2", "status": "todo"})

    def told(wire: Frames) -> list[str]:
        return [each["model"]["id"] for each in wire.named("model_created")]

    await eventually(lambda: told(world.wire) == ["t1", "t2"])
    await eventually(lambda: told(world.staff_wire) == ["t2"])


@pytest.mark.contract("5. Subscriptions", "subscribing twice is one subscription")
async def test_of_two_queries_with_one_channel_id_the_later_one_counts(world: World) -> None:
    everything = (await world.subscribe({}))["channelId"]
    await world.put_roles({"staff": STAFF, "reader": STAFF})
    assert (await world.subscribe(SOME))["channelId"] == everything

    await world.write("POST", "/model/task", {"id": "t1", "status": "doing"})
    await world.write("POST", "/model/task", {"id": "t2", "status": "todo"})

    await eventually(lambda: world.wire.named("model_created"))
    assert [each["model"]["id"] for each in world.wire.named("model_created")] == ["t2"]


async def test_a_subscription_that_was_ended_stays_so_when_roles_change(world: World) -> None:
    host = world.nexxus.transports.gateways["websockets"].narrowed
    await world.subscribe({"points": 1})
    (subscription,) = world.device("reader").subscriptions
    await world.unsubscribe({"points": 1})

    await host.serve(subscription)  # as a narrowing does that began before

    assert await world.placed("reader") == []
    assert world.device("reader").subscriptions == ()


# When something is away


class Outage:
    """Has methods fail, for everybody or for one device, until it `is_over`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.refused = 0
        self.is_over = False

    def of(self, owner: Any, method: str, *, device_id: str = "") -> None:
        works = getattr(owner, method)

        async def fail(*arguments: Any, **options: Any) -> Any:
            if self.is_over or device_id not in str(arguments):
                return await works(*arguments, **options)
            self.refused += 1
            raise ServiceUnavailable("away for a while")

        self._monkeypatch.setattr(owner, method, fail)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


async def is_narrowed(world: World, name: str) -> bool:
    """Whether a user's only subscription is on one route, here and in the registry."""
    (held,) = world.device(name).subscriptions
    return await world.placed(name) == [held] and held.narrowing_from is None


@pytest.mark.contract("2. Applications", "roles: a change narrows live subscriptions anew")
@pytest.mark.parametrize("method", ["placements", "of_device", "put"])
async def test_nothing_is_shown_under_former_roles_however_long_the_registry_is_away(
    world: World, outage: Outage, method: str
) -> None:
    await world.subscribe({})
    device_id = world.device("reader").device_id
    outage.of(world.nexxus.registry.subscriptions, method, device_id=device_id)
    await world.let_readers_see("todo")

    # Of the registry a part is away, such as one node of a cluster: events are routed all the same.
    await world.write("POST", "/model/task", {"id": "t1", "status": "done"})
    await world.write("POST", "/model/task", {"id": "t2", "status": "todo"})
    await eventually(lambda: outage.refused >= 3)
    assert world.wire.named("model_created") == []
    outage.is_over = True

    await eventually(lambda: is_over(world))
    assert await is_narrowed(world, "reader")
    await world.write("POST", "/model/task", {"id": "t3", "status": "todo"})
    await eventually(lambda: world.wire.named("model_created"))
    assert [each["model"]["id"] for each in world.wire.named("model_created")] == ["t3"]


async def test_a_device_that_subscribes_while_it_is_narrowed_is_shown_no_more_than_it_may(
    world: World, outage: Outage
) -> None:
    await world.subscribe({})
    device_id = world.device("reader").device_id
    outage.of(world.nexxus.database, "search")
    (before,) = await world.placed("reader")
    await world.let_readers_see("todo")
    (held,) = world.device("reader").subscriptions

    # The registry says so no more, or not yet: another request has the gateway look there.
    registry = world.nexxus.registry
    await registry.subscriptions.put(before, "websockets", world.nexxus.node_id)
    await world.nexxus.transports.gateways["websockets"].reconciliation.adopt("roles", device_id)

    assert world.device("reader").subscriptions == (held,)
    outage.is_over = True
    await eventually(lambda: is_over(world))
    assert await is_narrowed(world, "reader")


async def is_over(world: World) -> bool:
    """Whether the reader has been told to read the channel anew, which comes last."""
    return bool(world.wire.named("resync"))


async def test_a_channel_that_has_ended_in_the_registry_alone_ends_here_as_well(
    world: World, outage: Outage
) -> None:
    await world.subscribe({})
    outage.of(world.nexxus.transports.gateways["websockets"].reconciliation, "adopt")

    await let_nobody_subscribe(world)

    await eventually(lambda: outage.refused >= 2)
    assert await world.placed("reader") == []
    assert world.device("reader").subscriptions != ()
    outage.is_over = True
    await eventually(lambda: world.device("reader").subscriptions == ())


async def let_nobody_subscribe(world: World) -> None:
    """Make a model one that cannot be subscribed to; its roles have no conditions then."""
    fields = {"status": {"type": "string"}, "points": {"type": "int"}}
    await world.put(
        schema={"task": {"fields": fields, "subscribable": False}},
        roles={"staff": STAFF},
        auth={"strategies": {"local": {}}, "userTypes": {"staff": {}}},
    )
