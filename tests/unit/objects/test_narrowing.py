"""Subscriptions are adjusted step by step when an application's roles or schema change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from objects_world import ANN, APP, BEN, NODE, TRANSPORT, WITH_USERS, ObjectsWorld

from nexxus.domain.application import Application, merge_application, parse_application
from nexxus.domain.channels import Route, Subscription
from nexxus.domain.identity import Identity
from nexxus.errors import DeviceNotConnected, InvalidParameters, ServiceUnavailable, WireError
from nexxus.objects.narrowing import Narrowing
from nexxus.objects.requests import SubscribeRequest
from nexxus.testing.journal import Journal

contract = partial(pytest.mark.contract, "2. Applications and schemas")


class Device(msgspec.Struct):
    """A device that this node serves."""

    device_id: str
    subscriptions: tuple[Subscription, ...] = ()
    is_connected: bool = True


class Gateway:
    """Stands in for this node's gateway: serves what it is told to, and keeps what it sends.

    `steps` are what happened, in order. A device in `away` cannot be served.
    """

    def __init__(self, world: ObjectsWorld) -> None:
        self._world = world
        self.known: dict[str, Device] = {}
        self.steps: list[tuple[Any, ...]] = []
        self.away: set[str] = set()

    def devices(self, app_id: str) -> Sequence[Device]:
        return list(self.known.values())

    def withhold(self, subscription: Subscription) -> None:
        self.steps.append(("withhold", subscription.device_id, access(subscription.route)))
        self._replace(subscription)

    async def serve(self, subscription: Subscription) -> None:
        if subscription.device_id in self.away:
            raise ServiceUnavailable("away")
        former = subscription.narrowing_from
        beside = () if former is None else (access(former),)
        self.steps.append(("serve", subscription.device_id, access(subscription.route), *beside))
        await self._world.registry.subscriptions.put(subscription, TRANSPORT, NODE)
        self._replace(subscription)

    async def adopt(self, app_id: str, device_id: str) -> None:
        self.steps.append(("adopt", device_id))
        held = await self._world.registry.subscriptions.of_device(app_id, device_id)
        if device_id in self.known:
            self.known[device_id].subscriptions = tuple(held)

    def end_sessions(self, app_id: str) -> None:
        self.steps.append(("end sessions",))

    def send_denied(
        self, app_id: str, device_id: str, channel_id: str, objects: list[dict[str, Any]]
    ) -> None:
        self.steps.append(("denied", device_id, *(each["id"] for each in objects)))

    def send_resync(self, app_id: str, device_id: str, channels: list[str]) -> None:
        self.steps.append(("resync", device_id, len(channels)))

    def send_unsubscribed(
        self, app_id: str, device_id: str, channels: list[str], reason: WireError
    ) -> None:
        self.steps.append(("unsubscribed", device_id, len(channels), reason.name))

    def _replace(self, subscription: Subscription) -> None:
        device = self.known[subscription.device_id]
        device.subscriptions = tuple(
            subscription if each.channel_id == subscription.channel_id else each
            for each in device.subscriptions
        )


def access(route: Route) -> Any:
    """The objects that a route permits."""
    return route.access


ANNS = {"userId": {"eq": "ann"}}
ONES = {"title": {"eq": "one"}}


def allowing(condition: Any = None, resource: str = "task") -> dict[str, Any]:
    """An application whose members may read these tasks."""
    statement = {"effect": "Allow", "action": ["read"], "resource": [resource]}
    if condition is not None:
        statement["condition"] = {"filter": condition}
    return {**WITH_USERS, "roles": {"member": {"statements": [statement]}}}


class World(ObjectsWorld):
    """Tasks of two users, and a gateway whose devices are subscribed to them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gateway = Gateway(self)
        self.narrowing = Narrowing(
            database=self.database,
            registry=self.registry,
            host=self.gateway,
            transport=TRANSPORT,
            node=NODE,
            logger=Journal(),
        )
        self.present: Application

    async def begin(self, document: dict[str, Any], *members: Identity, **asked: Any) -> None:
        """Subscribe members to the tasks of an application."""
        self.present = await self.application(document)
        await self.store(
            {"id": "a1", "userId": "ann", "title": "one"},
            {"id": "a2", "userId": "ann", "title": "two"},
            {"id": "b1", "userId": "ben", "title": "one"},
            {"id": "b2", "userId": "ben", "title": "two"},
        )
        for member in members:
            self.gateway.known[member.device()] = Device(member.device())
            await self.connect(member)
            opened = self.subscriptions.open(member, SubscribeRequest(model="task", **asked))
            assert opened.subscription is not None
            await self.registry.subscriptions.put(opened.subscription, TRANSPORT, NODE)
            await self.gateway.adopt(APP, member.device())
        self.gateway.steps.clear()

    async def change(self, document: dict[str, Any]) -> None:
        """Apply changed roles or another schema."""
        former = self.present
        self.present = parse_application(merge_application(former.document, document))
        await self.narrowing.application_changed(former, self.present)

    async def try_again(self) -> None:
        """Retry like the directory of applications until it succeeds."""
        await self.narrowing.application_changed(self.present, self.present)

    async def placed(self, member: Identity) -> list[Subscription]:
        """A member's subscriptions in the registry."""
        return await self.registry.subscriptions.of_device(APP, member.device())


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    world = World(tmp_path)
    await world.open()
    yield world
    await world.close()


# Roles


@contract("roles: a change narrows live subscriptions")
async def test_forbidden_objects_are_withheld_then_removed_before_the_route_is_left(
    world: World,
) -> None:
    await world.begin(allowing(), ANN)
    await world.change(allowing(ANNS))
    assert world.gateway.steps == [
        ("withhold", "phone", ANNS),
        ("serve", "phone", ANNS, None),
        ("denied", "phone", "b1", "b2"),
        ("serve", "phone", ANNS),
        ("resync", "phone", 1),
        ("adopt", "phone"),
    ]
    (subscription,) = await world.placed(ANN)
    assert (subscription.route.access, subscription.narrowing_from) == (ANNS, None)
    assert subscription.channel_id == "nxx:subscription:app:task"


@contract("roles: a change narrows live subscriptions")
async def test_if_more_is_permitted_nothing_is_removed_and_the_channel_is_read_again(
    world: World,
) -> None:
    await world.begin(allowing(ANNS), ANN)
    await world.change(allowing())
    steps = [step[0] for step in world.gateway.steps]
    assert steps == ["withhold", "serve", "serve", "resync", "adopt"]


async def test_only_shown_objects_are_removed(world: World) -> None:
    await world.begin(allowing(ANNS), ANN)
    await world.change(allowing(ONES))
    assert ("denied", "phone", "a2") in world.gateway.steps


async def test_only_objects_of_the_channel_are_removed(world: World) -> None:
    await world.begin(allowing(), ANN, filter={"title": "two"})
    await world.change(allowing(ANNS))
    assert ("denied", "phone", "b2") in world.gateway.steps


@contract("roles: a channel without any right ends as unsubscribed")
async def test_if_nothing_is_permitted_anymore_everything_is_removed_and_the_channel_ends(
    world: World,
) -> None:
    await world.begin(allowing(), ANN)
    await world.change({"roles": {"member": {"statements": []}}})
    assert world.gateway.steps[-3:] == [
        ("denied", "phone", "a1", "a2", "b1", "b2"),
        ("adopt", "phone"),
        ("unsubscribed", "phone", 1, "AccessDeniedException"),
    ]
    assert await world.placed(ANN) == []


@contract("roles: a channel without any right ends as unsubscribed")
async def test_a_device_is_notified_of_an_ended_channel_although_that_failed_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin(allowing(), ANN)
    adopt = world.gateway.adopt

    async def be_away(*_: Any) -> None:
        raise ServiceUnavailable("away")

    monkeypatch.setattr(world.gateway, "adopt", be_away)
    with pytest.raises(ServiceUnavailable):
        await world.change({"roles": {"member": {"statements": []}}})
    monkeypatch.setattr(world.gateway, "adopt", adopt)
    await world.try_again()
    assert world.gateway.steps[-1] == ("unsubscribed", "phone", 1, "AccessDeniedException")


async def test_many_objects_are_removed_page_by_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexxus.objects.narrowing._PAGE", 2)
    await world.begin(allowing(), ANN)
    await world.store(*({"id": f"c{number}", "userId": "cleo"} for number in range(3)))
    await world.change(allowing(ANNS))
    denied = [step[2:] for step in world.gateway.steps if step[0] == "denied"]
    assert denied == [("b1", "b2"), ("c0", "c1"), ("c2",)]


async def test_unchanged_roles_change_nothing(world: World) -> None:
    await world.begin(allowing(ANNS), ANN)
    await world.change({"name": "Another name"})
    assert world.gateway.steps == []


@contract("roles: a change narrows live subscriptions")
async def test_each_device_is_narrowed_to_what_its_user_may_see(world: World) -> None:
    await world.begin(allowing(), ANN, BEN)
    await world.change(allowing({"userId": "$nxx:userId"}))
    denied = {step[1]: step[2:] for step in world.gateway.steps if step[0] == "denied"}
    assert denied == {"phone": ("b1", "b2"), "tablet": ("a1", "a2")}


async def test_a_second_change_removes_what_was_shown_under_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin(allowing(ANNS), ANN)

    async def be_away(_: Any) -> Any:
        raise ServiceUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(world.database, "search", be_away)
        with pytest.raises(ServiceUnavailable):
            await world.change(allowing(ONES))
    assert ("serve", "phone", ONES, ANNS) in world.gateway.steps
    await world.change({"roles": {"member": {"statements": []}}})
    (denied,) = [step for step in world.gateway.steps if step[0] == "denied"]
    assert denied == ("denied", "phone", "a1", "a2", "b1")


# Schemas


async def test_the_channels_of_a_removed_model_end(world: World) -> None:
    await world.begin(allowing(), ANN)
    await world.change({"schema": {"other": {"title": {"type": "string"}}}, "roles": {
        "member": {"statements": []}
    }})  # fmt: skip
    assert await world.placed(ANN) == []
    assert world.gateway.steps[-2:] == [
        ("adopt", "phone"),
        ("unsubscribed", "phone", 1, "ModelNotFoundException"),
    ]
    assert world.gateway.known["phone"].subscriptions == ()


async def test_objects_shown_by_a_field_that_is_no_longer_filterable_are_removed(
    world: World,
) -> None:
    await world.begin(allowing(ONES), ANN)
    unfiltered = {**WITH_USERS["schema"], "task": {"title": {"type": "string"}}}
    await world.change({"schema": unfiltered, "roles": {"member": {"statements": []}}})
    assert ("denied", "phone", "a1", "b1") in world.gateway.steps


async def test_a_channel_whose_filter_no_longer_fits_the_schema_ends(world: World) -> None:
    await world.begin(allowing(), ANN, filter={"title": "one"})
    unfiltered = {**WITH_USERS["schema"], "task": {"title": {"type": "string"}}}
    await world.change({"schema": unfiltered, "roles": allowing(ANNS)["roles"]})
    assert await world.placed(ANN) == []
    assert world.gateway.steps[-1] == ("unsubscribed", "phone", 1, "InvalidParametersException")


# Applications


async def test_the_sessions_of_a_deleted_application_end(world: World) -> None:
    await world.begin(allowing(), ANN)
    await world.narrowing.application_changed(world.present, None)
    assert world.gateway.steps == [("end sessions",)]


@pytest.mark.parametrize(
    "change", [{"signingSecret": "another-signing-secret-of-a-good-length"}, {"auth": None}]
)
async def test_another_secret_and_an_end_of_users_end_the_sessions(
    world: World, change: dict[str, Any]
) -> None:
    await world.begin(allowing(), ANN)
    await world.change(change)
    assert world.gateway.steps == [("end sessions",)]


async def test_a_new_application_affects_no_subscription(world: World) -> None:
    await world.begin(allowing(), ANN)
    await world.narrowing.application_changed(None, world.present)
    assert world.gateway.steps == []


# Failures


async def test_a_device_that_fails_is_retried_and_does_not_block_the_others(
    world: World,
) -> None:
    await world.begin(allowing(), ANN, BEN)
    world.gateway.away.add("phone")
    with pytest.raises(ServiceUnavailable, match="1 devices are still to be narrowed"):
        await world.change(allowing(ANNS))
    assert ("denied", "tablet", "b1", "b2") in world.gateway.steps
    world.gateway.away.clear()
    world.gateway.steps.clear()

    await world.try_again()

    assert ("denied", "phone", "b1", "b2") in world.gateway.steps
    assert all(step[1] == "phone" for step in world.gateway.steps)


async def test_objects_are_withheld_before_the_registry_is_called(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin(allowing(), ANN)

    async def be_away(*_: Any) -> Any:
        raise ServiceUnavailable("away")

    monkeypatch.setattr(world.registry.subscriptions, "placements", be_away)
    with pytest.raises(ServiceUnavailable):
        await world.change(allowing(ANNS))
    assert world.gateway.steps == [("withhold", "phone", ANNS)]


async def test_a_subscription_that_cannot_be_narrowed_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin(allowing(), ANN)

    async def refuse(_: Any) -> None:
        raise InvalidParameters("no")

    monkeypatch.setattr(world.gateway, "serve", refuse)
    await world.change(allowing(ANNS))
    assert await world.placed(ANN) == []


async def test_a_device_that_moved_to_another_node_is_narrowed_there(world: World) -> None:
    await world.begin(allowing(), ANN)
    (subscription,) = await world.placed(ANN)
    await world.registry.subscriptions.put(subscription, TRANSPORT, "there")
    world.gateway.known["phone"].is_connected = False
    await world.change(allowing(ANNS))
    assert "denied" not in [step[0] for step in world.gateway.steps]


async def test_a_device_that_leaves_meanwhile_does_not_block_a_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin(allowing(), ANN)

    async def be_gone(*_: Any) -> None:
        raise DeviceNotConnected("it has left")

    monkeypatch.setattr(world.gateway, "adopt", be_gone)
    await world.change({"schema": {}, "roles": {"member": {"statements": []}}})
    assert await world.placed(ANN) == []
