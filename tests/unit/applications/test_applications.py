"""Applications: their stored documents and their prepared models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.adapters.local.settings import LocalSettings
from nexxus.adapters.openid_connect.settings import GoogleSettings
from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.applications.applications import Applications
from nexxus.applications.system import APPLICATION, SYSTEM
from nexxus.cluster.peers import Peers
from nexxus.domain.application import Application, parse_application
from nexxus.domain.filters import Compare, Op
from nexxus.domain.objects import ObjectKey
from nexxus.errors import (
    ApplicationAlreadyExists,
    ApplicationNotFound,
    InvalidParameters,
    ServiceUnavailable,
    StartupError,
)
from nexxus.interfaces.database import Mutation, Query, Record
from nexxus.testing.journal import Journal

TEXT = {"type": "string", "filterable": True}


def document(*fields: str, **more: Any) -> dict[str, Any]:
    """An application with a model that has these filterable fields."""
    return {"id": "shop", "schema": {"task": dict.fromkeys(fields, TEXT)}, **more}


class World:
    """A database and a registry with any number of nodes."""

    def __init__(self, folder: Path) -> None:
        self.database = SqliteDatabase(SqliteSettings(), data_dir=folder)
        self.registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=folder, logger=Journal()
        )
        self._broker = InProcessBroker(InProcessBrokerSettings())

    async def node(self, name: str = "n1") -> Applications:
        """The applications of a node that has just started."""
        applications = Applications(
            database=self.database,
            peers=Peers(self._broker, here=name),
            registry=self.registry,
            strategies={"local": LocalSettings, "google": GoogleSettings},
        )
        await applications.load()
        return applications

    async def write(self, application: Application, id: str, **fields: Any) -> None:
        key = ObjectKey(application.id, "task", id)
        whole = {"id": id, "type": "task", "appId": application.id, "version": 1, **fields}
        assert await self.database.commit([Mutation(key, None, Record(whole, 1))]) == [True]

    async def find(self, application: Application, **wanted: str) -> list[str]:
        """The ids of the tasks with that value."""
        ((path, value),) = wanted.items()
        model = application.model("task")
        query = Query(application.id, model, Compare(path, Op.EQ, value))
        return [found["id"] for found in await self.database.search(query)]

    async def record(self) -> Record:
        (record,) = await self.database.load([ObjectKey(SYSTEM, APPLICATION.name, "shop")])
        assert record is not None
        return record


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.database.open()
    await world.registry.open()
    yield world
    await world.registry.close()
    await world.database.close()


class Failing:
    """Replaces a method: raises a number of times, then calls it."""

    def __init__(self, method: Callable[..., Any], times: int = 1) -> None:
        self._method = method
        self.times = times

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self.times:
            self.times -= 1
            raise ServiceUnavailable("away for a moment")
        return await self._method(*arguments, **options)


# Creating and changing


async def test_a_refused_create_leaves_the_existing_applications_models_prepared(
    world: World,
) -> None:
    applications = await world.node()
    shop = await applications.create(document("colour"))
    await world.write(shop, "t", colour="red")

    with pytest.raises(ApplicationAlreadyExists):
        await applications.create(document("size"))

    assert await world.find(shop, colour="red") == ["t"]


async def test_a_change_that_is_not_stored_leaves_the_prepared_models_unchanged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications = await world.node()
    shop = await applications.create(document("colour"))
    await world.write(shop, "t", colour="red")
    monkeypatch.setattr(world.database, "commit", Failing(world.database.commit))
    unfiltered = {"task": {"colour": {"type": "string"}, "size": TEXT}}

    with pytest.raises(ServiceUnavailable):
        await applications.replace("shop", {"schema": unfiltered})
    assert await world.find(shop, colour="red") == ["t"]

    changed = await applications.replace("shop", {"schema": unfiltered})
    assert await world.find(changed, size="small") == []
    with pytest.raises(ServiceUnavailable, match="colour cannot be filtered"):
        await world.find(shop, colour="red")  # no room is left for what is in force no more


async def test_a_start_repairs_the_models_of_a_change_during_which_a_process_died(
    world: World,
) -> None:
    applications = await world.node()
    shop = await applications.create(document("colour"))
    await world.write(shop, "t", colour="red")
    # Prepared for what was never stored. Earlier releases could leave it so.
    await world.database.prepare("shop", [parse_application(document("size")).model("task")])
    with pytest.raises(ServiceUnavailable):
        await world.find(shop, colour="red")

    await world.node()

    assert await world.find(shop, colour="red") == ["t"]


async def test_a_start_logs_an_application_that_it_cannot_read(world: World) -> None:
    await (await world.node()).create(document("colour"))
    await store_unreadable(world)

    with pytest.raises(StartupError, match=r"shop.*newKey"):
        await world.node()


async def store_unreadable(world: World) -> None:
    """Store the application as a newer release might write it."""
    former = await world.record()
    version = former.version + 1
    whole = {**former.document, "version": version, "document": {"id": "shop", "newKey": 1}}
    mutation = Mutation(ObjectKey(SYSTEM, APPLICATION.name, "shop"), former, Record(whole, version))
    assert await world.database.commit([mutation]) == [True]


@pytest.mark.parametrize("look", ["look_for_changes", "refresh"])
async def test_an_unreadable_application_does_not_affect_others(world: World, look: str) -> None:
    ours, theirs = await world.node("n1"), await world.node("n2")
    shop = await theirs.create(document("colour"))
    await getattr(ours, look)()
    await store_unreadable(world)
    await theirs.create({"id": "other"})
    await theirs.create({"id": "zoo"})

    with pytest.raises(InvalidParameters, match=r"shop.*newKey"):
        await getattr(ours, look)()

    assert {each.id for each in ours.all()} == {"shop", "other", "zoo"}
    assert ours.get("shop").document == shop.document


# Declared ones


async def test_a_declared_application_is_created_and_later_changed(world: World) -> None:
    applications = await world.node()

    await applications.declare(document("colour"))
    await world.write(applications.get("shop"), "t", colour="red")
    await applications.declare(document("colour", "size", name="Shop"))

    assert applications.get("shop").name == "Shop"
    assert await world.find(applications.get("shop"), colour="red") == ["t"]
    assert await world.find(applications.get("shop"), size="small") == []


async def test_an_unchanged_declared_application_is_not_written_again(world: World) -> None:
    google = {"clientID": "me", "clientSecret": "hush", "callbackURL": "https://shop.example/cb"}
    declared = document("colour", auth={"strategies": {"google": google}})
    declared["roles"] = {"all": {"statements": ({"effect": "Allow", "action": ("*",)},)}}
    declared["roles"]["all"]["statements"][0]["resource"] = ("*",)
    await (await world.node()).declare(declared)
    before = await world.record()

    applications = await world.node()
    heard = []

    async def listen(former: Application | None, present: Application | None) -> None:
        heard.append(present)

    applications.on_change(listen)
    await applications.declare(declared)

    assert (await world.record()).document == before.document
    assert heard == []


async def test_nodes_that_start_together_agree_on_declared_applications(world: World) -> None:
    nodes = [await world.node(f"n{number}") for number in range(4)]

    await asyncio.gather(*(node.declare(document("colour")) for node in nodes))
    assert (await world.record()).version == 1
    changed = document("colour", name="Shop")
    await asyncio.gather(*(node.declare(changed) for node in nodes))

    assert (await world.record()).version == 2
    assert {node.get("shop").name for node in nodes} == {"Shop"}
    assert len({node.get("shop").signing_secret for node in nodes}) == 1


async def test_a_declared_application_that_does_not_fit_stored_objects_changes_nothing(
    world: World,
) -> None:
    applications = await world.node()
    await applications.declare(document("colour"))
    shop = applications.get("shop")
    await world.write(shop, "t", colour="red")

    with pytest.raises(InvalidParameters, match=r"schema\.task.*such as t"):
        await applications.declare(document("size"))

    assert await world.find(shop, colour="red") == ["t"]


# Deleting


@pytest.mark.parametrize("dropping", ["database", "registry"])
async def test_a_failed_delete_is_repeated_until_everything_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, dropping: str
) -> None:
    applications = await world.node()
    shop = await applications.create(document("colour"))
    await world.write(shop, "t", colour="red")
    await world.registry.claims.claim("shop", "scope", "key", b"mine", 60)
    adapter = getattr(world, dropping)
    monkeypatch.setattr(adapter, "drop", Failing(adapter.drop, times=2))

    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await applications.delete("shop")
        with pytest.raises(ApplicationNotFound):
            applications.get("shop")
    await applications.delete("shop")

    assert await world.find(shop, colour="red") == []
    assert await world.registry.claims.claim("shop", "scope", "key", b"another's", 60) is None
    assert (await world.record()).deleted_at is not None
    with pytest.raises(ApplicationNotFound):
        await applications.delete("shop")


async def test_a_failed_delete_is_finished_by_another_node_after_a_restart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications = await world.node()
    shop = await applications.create(document("colour"))
    await world.write(shop, "t", colour="red")
    monkeypatch.setattr(world.database, "drop", Failing(world.database.drop))
    with pytest.raises(ServiceUnavailable):
        await applications.delete("shop")

    another = await world.node("n2")
    assert list(another.all()) == []
    await another.delete("shop")

    assert await world.find(shop, colour="red") == []


async def test_a_new_application_has_nothing_left_by_a_failed_delete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications = await world.node()
    await world.write(await applications.create(document("colour")), "t", colour="red")
    await world.registry.claims.claim("shop", "scope", "key", b"mine", 60)
    monkeypatch.setattr(world.database, "drop", Failing(world.database.drop))
    with pytest.raises(ServiceUnavailable):
        await applications.delete("shop")

    shop = await applications.create(document("colour"))

    assert await world.find(shop, colour="red") == []
    assert await world.registry.claims.claim("shop", "scope", "key", b"another's", 60) is None
    assert applications.get("shop") is shop
    assert (await world.record()).version == 3


@pytest.mark.parametrize("look", ["look_for_changes", "refresh"])
async def test_an_application_that_is_being_deleted_is_served_by_no_node(
    world: World, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    ours, theirs = await world.node("n1"), await world.node("n2")
    await theirs.create(document("colour"))
    await ours.refresh()
    monkeypatch.setattr(world.database, "drop", Failing(world.database.drop))
    with pytest.raises(ServiceUnavailable):
        await theirs.delete("shop")

    await getattr(ours, look)()

    assert list(ours.all()) == []
