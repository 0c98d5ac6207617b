"""A storm of writes, subscriptions, losses and changes of roles; then every view must be right."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient, unique
from documents import TASK, signed_application
from oracle import TAGS, matches, matches_descriptor, random_fields, random_filter
from server import Endpoint
from view import Ledger, View
from waiting import eventually

STAFF = {"statements": [{"effect": "Allow", "action": ["*"], "resource": ["*"]}]}
NARROW = [
    {"status": {"in": ["todo", "done"]}},
    {"$or": [{"points": {"gte": 3}}, {"done": True}]},
    {"status": {"in": ["todo", "doing", "done"]}},
    {"$not": {"tags": {"contains": "red"}}},
]
"""What readers may see, one after the other."""

OBJECTS = 24
VIEWS = 12
HANDS = 3
"""How many writes each writer has under way at a time."""


def reader_role(condition: Any) -> Any:
    statement = {
        "effect": "Allow",
        "action": ["read"],
        "resource": ["task"],
        "condition": {"filter": condition},
    }
    return {"staff": STAFF, "reader": {"statements": [statement]}}


def storm_application() -> Any:
    fields = {
        name: {**field, "acl": True} if field.get("filterable") else field
        for name, field in TASK["fields"].items()
    }
    return signed_application(
        id=unique("storm"),
        schema={"task": {"fields": fields}},
        roles=reader_role(NARROW[0]),
        auth={
            "acl": True,
            "userTypes": {"default": {"roles": ["staff"]}, "reader": {"roles": ["reader"]}},
        },
    )


class Storm:
    """Everything that happens to one application for some seconds, from one seed."""

    def __init__(
        self, seed: int, endpoint: Endpoint, admin: Admin, http: httpx2.AsyncClient
    ) -> None:
        self.rng = random.Random(seed)
        self.endpoint = endpoint
        self.admin = admin
        self.http = http
        self.ledger = Ledger()
        self.app = admin.create(storm_application())
        self.condition = NARROW[0]
        self.blowing = True
        self.operations: dict[str, list[str]] = defaultdict(list)
        self.writers: list[NexxusClient] = []
        self.watchers: list[NexxusClient] = []
        self.readers: list[NexxusClient] = []
        self.replaced: list[Any] = []

    async def gather(self) -> None:
        """Sign everybody in."""
        for number in range(3):
            self.writers.append(await self._user(f"writer{number}"))
        for number in range(4):
            self.watchers.append(await self._user(f"watcher{number}"))
        for number in range(2):
            self.readers.append(await self._user(f"reader{number}", userType="reader"))

    async def _user(self, name: str, **more: str) -> NexxusClient:
        client = NexxusClient(self.endpoint, self.app["id"], http=self.http, ledger=self.ledger)
        await client.register_user(name, **more)
        return client

    async def blow(self, seconds: float) -> None:
        """Let everybody act for so long, or longer where the machine is slow.

        Returns when all have stopped.
        """
        for client in (*self.watchers, *self.readers):
            await client.connect()

        async def clock() -> None:
            await asyncio.sleep(seconds)
            await eventually(self.has_blown_enough, patience=60)
            self.blowing = False

        async with asyncio.TaskGroup() as group:
            group.create_task(clock())
            group.create_task(self._change_roles(seconds))
            for client in self.writers * HANDS:
                group.create_task(self._write(client, random.Random(self.rng.random())))
            for client in (*self.watchers, *self.readers):
                group.create_task(self._watch(client, random.Random(self.rng.random())))

    def has_blown_enough(self) -> bool:
        """Whether there is something to judge."""
        views = sum(len(client.views) for client in (*self.watchers, *self.readers))
        return views > 24 and sum(map(len, self.operations.values())) > 100

    # What happens

    async def _write(self, client: NexxusClient, rng: random.Random) -> None:
        while self.blowing:
            object_id = f"o{rng.randrange(OBJECTS)}"
            path = f"/model/task/{object_id}"
            choice = rng.random()
            if choice < 0.3:
                body = {"id": object_id, "title": "x", **random_fields(rng)}
                work = ("POST", "/model/task", body)
            elif choice < 0.88:
                work = ("PUT", path, {"patch": random_patches(rng)})
            else:
                work = ("DELETE", path, None)
            key = unique("key")
            for _ in range(rng.choice([1, 1, 1, 2])):  # some come twice, as retries do
                response = await client.write(*work, wait=False, Idempotency_Key=key)
                assert response.status_code == 202, response.text
            self.operations[object_id].append(response.headers["nxx-operation-id"])
            await asyncio.sleep(rng.random() * 0.01)

    async def _watch(self, client: NexxusClient, rng: random.Random) -> None:
        while self.blowing:
            await asyncio.sleep(rng.random() * 0.15)
            choice = rng.random()
            if choice < 0.55 and len(client.views) < VIEWS:
                await client.subscribe(
                    "task", over=rng.choice(["http", "socket"]), **self._any(rng)
                )
            elif choice < 0.62 and client.views:
                await client.settled()
                await client.unsubscribe(rng.choice(list(client.views.values())))
            elif choice < 0.75:
                await client.drop()
                await asyncio.sleep(rng.random() * 0.3)
                if rng.random() < 0.2:
                    client.cursor = "a cursor that nobody knows"
                await client.connect(resume=True)
            elif choice < 0.80:
                await client.drop()
                await client.connect()
            elif choice < 0.86:
                self.replaced.append(client.socket)
                await client.connect(resume=rng.random() < 0.5)
            client.check()

    def _any(self, rng: random.Random) -> dict[str, Any]:
        """A descriptor of any kind, most with a page that holds everything."""
        page = {"limit": rng.choice([2, 5000, 5000, 5000])}
        kind = rng.random()
        if kind < 0.1:
            return page
        if kind < 0.25:
            return {"id": f"o{rng.randrange(OBJECTS)}", **page}
        if kind < 0.35:
            return {"userId": rng.choice(self.writers).user_id, **page}
        if kind < 0.45:
            owner = rng.choice(self.writers).user_id
            return {"userId": owner, "filter": random_filter(rng), **page}
        return {"filter": random_filter(rng), **page}

    async def _change_roles(self, seconds: float) -> None:
        for condition in NARROW[1:]:
            await asyncio.sleep(seconds / (len(NARROW) + 1))
            self.condition = condition
            await asyncio.to_thread(
                self.admin.put, self.app["id"], {"roles": reader_role(condition)}
            )

    # Judgement

    async def judge(self) -> None:
        """Hold every write and every view against what is stored."""
        await self._judge_operations()
        stored = await self.writers[0].search_all("task")
        for connection in self.replaced:
            assert await connection.wait_closed() in (4003, 1006, 1000)
        for client in (*self.watchers, *self.readers):
            await client.settled()
            for view in list(client.views.values()):
                truth = {
                    document["id"]: document
                    for document in stored
                    if matches_descriptor(view.descriptor, document)
                    and (client in self.watchers or matches(self.condition, document))
                }
                assert truth == await client.truth(view), view.descriptor
                await client.converged(view, truth=truth)

    async def _judge_operations(self) -> None:
        """Every operation was decided, and those applied to an object are versions 1, 2, 3…"""
        client = self.writers[0]
        for operations in self.operations.values():
            # A fate is its writer's own: ask as each of them.
            versions = []
            for operation in operations:
                for client in self.writers:
                    response = await client.send("GET", f"/operation/{operation}")
                    if response.status_code == 200:
                        fate = await client.decided(operation)
                        break
                else:
                    raise AssertionError(f"nobody's operation: {operation}")
                if fate["state"] == "applied":
                    versions.append(fate["version"])
                else:
                    assert fate["error"]["error"] in REJECTIONS, fate
            assert sorted(versions) == list(range(1, len(versions) + 1))

    async def close(self) -> None:
        for client in (*self.writers, *self.watchers, *self.readers):
            with contextlib.suppress(Exception):
                await client.close()


REJECTIONS = {
    "ModelNotFoundException",
    "VersionConflictException",
    "InvalidParametersException",
}


def random_patches(rng: random.Random) -> Any:
    """One patch or several, of any kind."""
    choices = [
        {"op": "incr", "path": "points", "value": rng.randint(-2, 2)},
        {"op": "decr", "path": "weight", "value": 0.5},
        {"op": "append", "path": "tags", "value": rng.sample(TAGS, rng.randint(0, 2))},
        {"op": "prepend", "path": ["scores", "status"], "value": [rng.randint(0, 3), "d"]},
        {"op": "append", "path": "steps", "value": {"text": "s", "minutes": rng.randint(0, 9)}},
        {"op": "replace", "path": "tags", "value": []},
        {"op": "remove", "path": [rng.choice(["points", "status", "tags", "location.city"])]},
        {"op": "replace", "path": "location.place.floor", "value": rng.randint(1, 3)},
        {"op": "remove", "path": "location"},
        *(
            {"op": "replace", "path": name, "value": value}
            for name, value in random_fields(rng).items()
        ),
    ]
    patches = rng.sample(choices, rng.randint(1, 3))
    return patches if len(patches) > 1 or rng.random() < 0.5 else patches[0]


async def run(seed: int, seconds: float, endpoint: Endpoint, admin: Admin, http: Any) -> None:
    storm = Storm(seed, endpoint, admin, http)
    try:
        await storm.gather()
        await storm.blow(seconds)
        await storm.judge()
        views: list[View] = [
            view for client in (*storm.watchers, *storm.readers) for view in client.views.values()
        ]
        assert len(views) > 20
        assert sum(len(operations) for operations in storm.operations.values()) > 100
    finally:
        await storm.close()


@pytest.mark.contract("5. Subscriptions", "a channel converges")
async def test_after_a_storm_every_view_equals_the_database(
    endpoint: Endpoint, admin: Admin, http: httpx2.AsyncClient
) -> None:
    await run(1, 10, endpoint, admin, http)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
async def test_after_many_long_storms_every_view_equals_the_database(
    endpoint: Endpoint, admin: Admin, http: httpx2.AsyncClient, seed: int
) -> None:
    await run(seed, 30, endpoint, admin, http)
