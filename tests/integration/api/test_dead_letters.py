"""Dead letters over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nexxus.cluster.dead_letters import DeadLetters
from nexxus.config import Config
from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.broker import Consumer, Received, worker_group
from nexxus.interfaces.worker import Worker
from nexxus.server import Nexxus
from nexxus.testing.broker_kit.materials import consume

KEY = "an-admin-key-for-tests-only"
MAIL = worker_group("mail")


class Mail(Worker):
    """Never opened: what is sent to it stays where the test finds it."""

    async def open(self, context: Any) -> None:
        raise ServiceUnavailable("the mail server is away")

    async def handle(self, events: Any) -> None:
        raise AssertionError("it was not opened")


class Plugin:
    @hookimpl
    def nexxus_workers(self) -> list[Adapter]:
        return [Adapter("mail", None, lambda *_: Mail(), interface=1)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Nexxus]:
    settings = {
        "server": {"data_dir": str(tmp_path), "workers": ["mail"], "drain_timeout": 0.1},
        "admin": {"key": KEY},
        "logger": {"level": "critical"},
    }
    async with Nexxus(Config.from_mapping(settings, plugins=[Plugin()])) as nexxus:
        yield nexxus


@pytest.fixture
async def http(server: Nexxus) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(server.app),
        base_url="http://nexxus/admin/dead-letters",
        headers={"authorization": f"Bearer {KEY}"},
    ) as http:
        yield http


@pytest.fixture
async def consumer(server: Nexxus) -> Consumer[Event]:
    """A member of a group of which three messages were set aside."""
    for version in (1, 2, 3):
        event = Event("model_created", "shop", "item", "a", version, None, {"id": "a"})
        message = Received("a", event)
        await server.parts.dead_letters.bury(MAIL, message, "ValueError: no such address")
    return await consume(server.broker, MAIL)


async def ids(http: httpx2.AsyncClient) -> list[str]:
    return [item["id"] for item in (await http.get("")).json()["data"]["items"]]


async def test_they_are_listed_with_what_an_operator_needs(
    http: httpx2.AsyncClient, consumer: Consumer[Event]
):
    items = (await http.get("", params={"queue": "worker.mail"})).json()["data"]["items"]
    assert [item["payload"]["version"] for item in items] == [1, 2, 3]
    first = items[0]
    assert set(first) == {"id", "queue", "key", "payload", "attempts", "reason", "buriedAt"}
    assert (first["queue"], first["key"], first["attempts"]) == ("worker.mail", "a", 0)
    assert first["reason"] == "ValueError: no such address"
    assert len((await http.get("", params={"limit": 1})).json()["data"]["items"]) == 1
    assert (await http.get("", params={"queue": "writer"})).json()["data"]["items"] == []


async def test_one_is_shown_by_its_id(http: httpx2.AsyncClient, consumer: Consumer[Event]):
    [first, *_] = await ids(http)
    assert (await http.get(f"/{first}")).json()["data"]["id"] == first
    assert (await http.get("/unknown")).status_code == 404


async def test_a_replayed_one_comes_again_and_is_listed_no_more(
    http: httpx2.AsyncClient, consumer: Consumer[Event]
):
    first, second, third = await ids(http)
    response = await http.post("/replay", json={"ids": [second, "unknown"]})
    assert response.json() == {"data": {"count": 1}}
    [received] = await consumer.take(10)
    assert (received.payload.version, received.attempts) == (2, 0)
    assert await ids(http) == [first, third]


async def test_a_replayed_one_is_kept_until_it_is_settled_where_the_broker_would_lose_it(
    http: httpx2.AsyncClient, server: Nexxus, consumer: Consumer[Event]
):
    [first, *others] = await ids(http)
    await http.post("/replay", json={"ids": [first]})
    assert (await http.post("/replay", json={"ids": [first]})).json() == {"data": {"count": 0}}
    [received] = await consumer.take(10)

    async def after_a_crash() -> list[str]:
        later = DeadLetters(server.database, server.broker, [MAIL])
        return [letter.id for letter in await later.list()]

    assert await after_a_crash() == [first, *others]
    await server.parts.dead_letters.settled(MAIL, [received])
    assert await after_a_crash() == others


async def test_a_discarded_one_is_gone(http: httpx2.AsyncClient, consumer: Consumer[Event]):
    first, *others = await ids(http)
    assert (await http.post("/discard", json={"ids": [first]})).json() == {"data": {"count": 1}}
    assert await ids(http) == others


async def test_burying_a_message_again_makes_no_second_letter(
    http: httpx2.AsyncClient, consumer: Consumer[Event], server: Nexxus
):
    before = await ids(http)
    event = Event("model_created", "shop", "item", "a", 1, None, {"id": "a"})
    await server.parts.dead_letters.bury(MAIL, Received("a", event), "again")
    assert sorted(await ids(http)) == sorted(before)


async def test_one_of_a_worker_that_is_not_configured_stays(
    http: httpx2.AsyncClient, server: Nexxus
):
    event = Event("model_created", "shop", "item", "a", 1, None, {"id": "a"})
    gone = worker_group("gone")
    await server.parts.dead_letters.bury(gone, Received("a", event), "x")
    response = await http.post("/replay", json={"ids": await ids(http)})
    assert response.status_code == 400
    assert "server.workers" in response.json()["message"]
    assert len(await ids(http)) == 1


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": [1]}, {"ids": ["a"], "all": True}])
async def test_what_names_none_is_refused(http: httpx2.AsyncClient, body: dict):
    assert (await http.post("/replay", json=body)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/x"), ("POST", "/replay"), ("POST", "/discard")]
)
async def test_without_the_admin_key_nothing_is_told(
    http: httpx2.AsyncClient, method: str, path: str
):
    response = await http.request(method, path, headers={"authorization": "Bearer wrong"})
    assert response.status_code == 401
