"""A service that is away is a 503 at once, takes nothing, and is used again when it is back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import httpx2
import pytest
from client import Admin, NexxusClient
from documents import open_application
from server import Server
from waiting import eventually

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.config import Config
from nexxus.errors import ServiceUnavailable
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.broker import WRITER, WRITES, Broker, Consumer, Group, Message, Topic
from nexxus.interfaces.registry import Registry
from nexxus.server import Nexxus
from nexxus.testing.journal import Journal

T = TypeVar("T")

contract = partial(pytest.mark.contract, "8. Error names")
models = partial(pytest.mark.contract, "4. Models")

ADMIN_KEY = "an-admin-key-for-tests-only"


# The database: a file that somebody else has locked


@contract("503")
async def test_a_locked_database_refuses_writes_answers_reads_and_loses_nothing(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path, "--set", "database.busy_timeout=0.2").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    try:
        async with NexxusClient(server.endpoint, app["id"]) as client:
            await (await client.register_device()).connect()
            view = await client.subscribe("note", limit=100)
            await client.create("note", id="before", text="x")

            with closing(sqlite3.connect(server.data_dir / "nexxus.sqlite3")) as thief:
                thief.execute("BEGIN IMMEDIATE")
                for headers in ({}, {"Prefer": "wait=5"}):
                    body = {"id": "during", "text": "x"}
                    refused = await client.send("POST", "/model/note", body, headers=headers)
                    assert refused.status_code == 503, refused.text
                    assert refused.json()["error"] == "ServiceUnavailableException"
                answer = await client.socket.request(
                    "create", {"type": "note", "id": "during", "text": "x"}
                )
                assert answer["status"] == 503
                assert answer["error"]["error"] == "ServiceUnavailableException"
                assert (await client.get("note", "before"))["text"] == "x"
                thief.rollback()

            await client.create("note", id="after", text="x")
            await client.converged(view)
            assert set(view.items) == {"before", "after"}
        assert server.stop() == 0
    finally:
        server.close()


# The registry and the broker: of a plugin, so that they can be told to fail


class Switch:
    """Whether a service is away."""

    is_away = False


class FailingStore:
    """A part of the registry, whose methods fail while the switch says so."""

    def __init__(self, store: Any, switch: Switch) -> None:
        self._store = store
        self._switch = switch

    def __getattr__(self, name: str) -> Any:
        if self._switch.is_away:
            raise ServiceUnavailable("the registry is away")
        return getattr(self._store, name)


class FailingRegistry(Registry):
    """The embedded registry, which is away while the switch says so."""

    def __init__(self, settings: Any, *, data_dir: Path, switch: Switch) -> None:
        self._working = InProcessRegistry(settings, data_dir=data_dir, logger=Journal())
        self._failing = FailingStore(self._working, switch)
        for store in get_type_hints(Registry):
            setattr(self, store, FailingStore(getattr(self._working, store), switch))

    async def open(self) -> None:
        await self._working.open()

    async def close(self) -> None:
        await self._working.close()

    async def ping(self) -> None:
        await self._failing.ping()

    async def drop(self, app_id: str) -> None:
        await self._failing.drop(app_id)


class EarlyBroker(InProcessBroker):
    """Confirms a write when it is queued, as a broker on a network does; `may_go_on` holds the
    writer."""

    is_durable = True

    def __init__(self, settings: Any, may_go_on: asyncio.Event) -> None:
        super().__init__(settings)
        self._may_go_on = may_go_on
        self._publishing: set[asyncio.Task[None]] = set()

    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        if topic.name != WRITES.name:
            await super().publish(topic, messages)
            return
        task = asyncio.create_task(super().publish(topic, messages))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def consume(self, group: Group[T], **options: Any) -> Consumer[T]:
        consumer = await super().consume(group, **options)
        if group.name == WRITER.name:
            take = consumer.take

            async def take_when_let(limit: int) -> Any:
                await self._may_go_on.wait()
                return await take(limit)

            consumer.take = take_when_let  # type: ignore[method-assign]
        return consumer


class Plugin:
    """Both of them, as an embedder gives them."""

    def __init__(self) -> None:
        self.switch = Switch()
        self.may_go_on = asyncio.Event()

    @hookimpl
    def nexxus_registries(self) -> list[Adapter]:
        def create(settings: Any, context: AdapterContext) -> Registry:
            own = InProcessRegistrySettings()
            return FailingRegistry(own, data_dir=context.data_dir, switch=self.switch)

        return [Adapter("failing", None, create, interface=1, scope="process")]

    @hookimpl
    def nexxus_brokers(self) -> list[Adapter]:
        def create(settings: Any, context: AdapterContext) -> Broker:
            return EarlyBroker(InProcessBrokerSettings(), self.may_go_on)

        return [Adapter("early", None, create, interface=1, scope="process")]


@asynccontextmanager
async def serving(
    tmp_path: Path, plugin: Plugin, **sections: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = {
        "server": {"data_dir": str(tmp_path)},
        "admin": {"key": ADMIN_KEY},
        "logger": {"level": "critical"},
        "applications": [{"id": "open", "schema": {"note": {"text": {"type": "string"}}}}],
        **sections,
    }
    async with Nexxus(Config.from_mapping(settings, plugins=[plugin])) as nexxus:
        transport = httpx2.ASGITransport(nexxus.app)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://nexxus", headers={"nxx-app-id": "open"}
        ) as client:
            yield client


Request = Callable[[httpx2.AsyncClient, dict[str, str]], Any]

REQUESTS: dict[str, Request] = {
    "register a device": lambda c, _: c.post("/device/register", json={"name": "x"}),
    "the device": lambda c, h: c.get("/device", headers=h),
    "subscribe": lambda c, h: c.post("/subscription/", json={"model": "note"}, headers=h),
    "unsubscribe": lambda c, h: c.request(
        "DELETE", "/subscription/", json={"model": "note"}, headers=h
    ),
    "refresh": lambda c, h: c.post("/auth/refresh", json={"refreshToken": h["x-refresh"]}),
    "a write with a key": lambda c, h: c.post(
        "/model/note", json={"text": "x"}, headers={**h, "idempotency-key": "k"}
    ),
    "a fate": lambda c, h: c.get("/operation/nobody", headers=h),
}


@contract("503")
async def test_whatever_needs_a_registry_that_is_away_is_a_503_and_works_again(
    tmp_path: Path,
) -> None:
    plugin = Plugin()
    async with serving(tmp_path, plugin, registry={"adapter": "failing"}) as client:
        session = (await client.post("/device/register", json={"name": "x"})).json()
        headers = {
            "authorization": f"Bearer {session['token']}",
            "x-refresh": session["refreshToken"],
        }
        plugin.switch.is_away = True
        for name, request in REQUESTS.items():
            async with asyncio.timeout(5):
                answer = await request(client, headers)
            assert answer.status_code == 503, (name, answer.text)
            assert answer.json()["error"] == "ServiceUnavailableException", name
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "registry" in ready.text
        assert (await client.get("/healthz")).status_code == 200

        plugin.switch.is_away = False
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/device", headers=headers)).status_code == 200
        written = await REQUESTS["a write with a key"](client, headers)
        assert written.status_code == 202


# Waiting for the writer


@models("Prefer: wait")
async def test_a_wait_that_runs_out_is_a_202_and_the_write_is_still_done(tmp_path: Path) -> None:
    plugin = Plugin()
    async with serving(tmp_path, plugin, broker={"adapter": "early"}) as client:
        prefer = {"prefer": "wait=1", "idempotency-key": "k"}
        body = {"id": "n1", "text": "x"}
        answer = await client.post("/model/note", json=body, headers=prefer)
        assert answer.status_code == 202, answer.text
        operation = answer.json()["data"]["operationId"]
        assert answer.headers["nxx-operation-id"] == operation

        async def state() -> Any:
            return (await client.get(f"/operation/{operation}")).json()["data"]["state"]

        assert await state() == "queued"
        assert (await client.get("/model/note/n1")).status_code == 404
        plugin.may_go_on.set()

        async def is_applied() -> bool:
            return bool(await state() == "applied")

        await eventually(is_applied)
        assert (await client.get("/model/note/n1")).json()["data"]["version"] == 1
        again = await client.post("/model/note", json=body, headers=prefer)
        assert (again.status_code, again.json()["data"]["version"]) == (201, 1)


@models("Prefer: wait")
async def test_a_wait_that_does_not_run_out_is_over_when_the_write_is_stored(
    tmp_path: Path,
) -> None:
    plugin = Plugin()
    async with serving(tmp_path, plugin, broker={"adapter": "early"}) as client:
        body = {"id": "n1", "text": "x"}
        waiting = asyncio.create_task(
            client.post("/model/note", json=body, headers={"prefer": "wait=20"})
        )

        async def is_queued() -> bool:
            return "nexxus_writer_batches_total 0.0" in (await client.get("/metrics")).text

        await eventually(is_queued)
        plugin.may_go_on.set()

        answer = await waiting
        assert (answer.status_code, answer.json()["data"]["version"]) == (201, 1)
