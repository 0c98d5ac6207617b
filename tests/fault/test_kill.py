"""Kill -9 under load, again and again: nothing that was accepted is lost or done twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from client import Admin, NexxusClient, new_http, unique
from documents import open_application
from server import Server
from view import Ledger

COUNTERS = 6
WRITERS = 4
LOAD_SECONDS = 1.2


class Load:
    """Writers that retry until they have an answer, and know what they were promised."""

    def __init__(self, server: Server, app_id: str, http: httpx.AsyncClient) -> None:
        self.server = server
        self.app_id = app_id
        self.http = http
        self.ledger = Ledger()
        self.running = False
        self.increments = [0] * COUNTERS
        self.operations: list[list[str]] = [[] for _ in range(COUNTERS)]
        self.created: dict[str, str] = {}

    def client(self) -> NexxusClient:
        client = NexxusClient(self.server.endpoint, self.app_id, http=self.http, ledger=self.ledger)
        client.repeats = True
        return client

    async def write(self, client: NexxusClient, rng: random.Random) -> None:
        """Increment counters and create objects until told to stop."""
        while self.running:
            if rng.random() < 0.7:
                number = rng.randrange(COUNTERS)
                body: Any = {"patch": {"op": "incr", "path": "points", "value": 1}}
                answer = await self._insist(client, "PUT", f"/model/task/c{number}", body)
                self.increments[number] += 1
                self.operations[number].append(answer.headers["nxx-operation-id"])
            else:
                title = unique("t")
                answer = await self._insist(client, "POST", "/model/task", {"title": title})
                self.created[answer.json()["data"]["id"]] = title

    async def _insist(
        self, client: NexxusClient, method: str, path: str, body: Any
    ) -> httpx.Response:
        """Repeat a write, as the same one, until the server has taken it."""
        key = unique("key")
        async with asyncio.timeout(120):
            while True:
                try:
                    answer = await client.write(method, path, body, wait=False, Idempotency_Key=key)
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.status_code == 202:
                    return answer
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.02)


async def survive(server: Server, rounds: int) -> None:
    rng = random.Random(rounds)
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with new_http() as http:
        load = Load(server, app["id"], http)
        writers = [load.client() for _ in range(WRITERS)]
        watchers = [await load.client().register_device() for _ in range(3)]
        for number in range(COUNTERS):
            await writers[0].create("task", id=f"c{number}", title="counter", points=0)
        for watcher in watchers:
            await watcher.connect()
            await watcher.subscribe("task", limit=5000)
            await watcher.subscribe("task", id="c0", limit=10)
            await watcher.subscribe("task", filter={"points": {"gte": 20}}, limit=5000)

        load.running = True
        tasks = [
            asyncio.create_task(load.write(writer, random.Random(rng.random())))
            for writer in writers
        ]
        for _ in range(rounds):
            # Under load for a while: a kill must find work in every stage of the line.
            await asyncio.sleep(LOAD_SECONDS * (0.5 + rng.random()))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            for watcher in watchers:
                await watcher.connect(resume=rng.random() < 0.7 and watcher.cursor is not None)
        load.running = False
        await asyncio.gather(*tasks)

        await judge(load, writers[0], watchers)
        for client in (*writers, *watchers):
            await client.close()
            client.check()
    admin.close()


async def judge(load: Load, client: NexxusClient, watchers: list[NexxusClient]) -> None:
    for number in range(COUNTERS):
        fates = [await client.decided(operation) for operation in load.operations[number]]
        assert {fate["state"] for fate in fates} <= {"applied"}
        versions = sorted(fate["version"] for fate in fates)
        assert versions == list(range(2, len(fates) + 2)), "a version is missing, or there twice"
        counter = await client.get("task", f"c{number}")
        assert counter["points"] == load.increments[number]
        assert counter["version"] == load.increments[number] + 1
    stored = {item["id"]: item for item in await client.search_all("task")}
    assert {key: stored[key]["title"] for key in load.created} == load.created
    assert len(stored) == len(load.created) + COUNTERS, "a retry has made a second object"
    assert len(load.created) > 20
    for watcher in watchers:
        await watcher.settled()
        await watcher.converged()


@pytest.mark.contract("4. Models", "no accepted write is lost, none is applied twice")
async def test_what_was_accepted_survives_kill_9_exactly_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        await survive(server.start(), rounds=5)
        assert server.stop() == 0
    finally:
        server.close()


@pytest.mark.long
async def test_what_was_accepted_survives_a_hundred_kills_exactly_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        await survive(server.start(), rounds=100)
        assert server.stop() == 0
    finally:
        server.close()
