"""Dead letters over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from nexxus.domain.events import Event
from nexxus.interfaces.broker import Consumer, Received, worker_group
from nexxus.server import Nexxus
from nexxus.testing.broker_kit.materials import consume

MAIL = worker_group("mail")


@pytest.fixture
async def consumer(server: Nexxus) -> Consumer[Event]:
    """A member of a group of which three messages were set aside."""
    for version in (1, 2, 3):
        event = Event("model_created", "shop", "item", "a", version, None, {"id": "a"})
        message = Received("a", event)
        await server.parts.dead_letters.bury(
            MAIL, message, "ValueError: no such address", attempts=3
        )
    return await consume(server.broker, MAIL)


async def ids(admin_http: httpx2.AsyncClient) -> list[str]:
    return [item["id"] for item in (await admin_http.get("/dead-letters")).json()["data"]["items"]]


async def test_they_are_listed_with_what_an_operator_needs(
    admin_http: httpx2.AsyncClient, consumer: Consumer[Event]
):
    items = (await admin_http.get("/dead-letters", params={"queue": "worker.mail"})).json()["data"][
        "items"
    ]
    assert [item["payload"]["version"] for item in items] == [1, 2, 3]
    first = items[0]
    assert set(first) == {"id", "queue", "key", "payload", "attempts", "reason", "buriedAt"}
    assert (first["queue"], first["key"], first["attempts"]) == ("worker.mail", "a", 3)
    assert first["reason"] == "ValueError: no such address"
    assert (
        len((await admin_http.get("/dead-letters", params={"limit": 1})).json()["data"]["items"])
        == 1
    )
    assert (await admin_http.get("/dead-letters", params={"queue": "writer"})).json()["data"][
        "items"
    ] == []


async def test_one_is_shown_by_its_id(admin_http: httpx2.AsyncClient, consumer: Consumer[Event]):
    [first, *_] = await ids(admin_http)
    assert (await admin_http.get(f"/dead-letters/{first}")).json()["data"]["id"] == first
    assert (await admin_http.get("/dead-letters/unknown")).status_code == 404


async def test_a_replayed_one_comes_again_and_is_listed_no_more(
    admin_http: httpx2.AsyncClient, consumer: Consumer[Event]
):
    first, second, third = await ids(admin_http)
    response = await admin_http.post("/dead-letters/replay", json={"ids": [second, "unknown"]})
    assert response.json() == {"data": {"count": 1}}
    [received] = await consumer.take(10)
    assert (received.payload.version, received.attempts) == (2, 0)
    assert await ids(admin_http) == [first, third]


async def test_a_discarded_one_is_gone(admin_http: httpx2.AsyncClient, consumer: Consumer[Event]):
    first, *others = await ids(admin_http)
    assert (await admin_http.post("/dead-letters/discard", json={"ids": [first]})).json() == {
        "data": {"count": 1}
    }
    assert await ids(admin_http) == others


async def test_one_of_a_worker_that_is_not_configured_stays(
    admin_http: httpx2.AsyncClient, server: Nexxus
):
    event = Event("model_created", "shop", "item", "a", 1, None, {"id": "a"})
    gone = worker_group("gone")
    await server.parts.dead_letters.bury(gone, Received("a", event), "x", attempts=1)
    response = await admin_http.post("/dead-letters/replay", json={"ids": await ids(admin_http)})
    assert response.status_code == 400
    assert "server.workers" in response.json()["message"]
    assert len(await ids(admin_http)) == 1


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": [1]}, {"ids": ["a"], "all": True}])
async def test_what_names_none_is_refused(admin_http: httpx2.AsyncClient, body: dict):
    assert (await admin_http.post("/dead-letters/replay", json=body)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/x"), ("POST", "/replay"), ("POST", "/discard")]
)
async def test_without_the_admin_key_nothing_is_told(
    admin_http: httpx2.AsyncClient, method: str, path: str
):
    response = await admin_http.request(
        method, f"/dead-letters{path}", headers={"authorization": "Bearer wrong"}
    )
    assert response.status_code == 401
