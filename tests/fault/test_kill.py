"""Kill -9 under load, again and again: nothing that was accepted is lost or done twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from client import Admin, NexxusClient, new_http
from documents import open_application
from load import Load, Verdict, judge
from server import Server
from view import Ledger

pytestmark = pytest.mark.usefixtures("unmeasured_programs")

WRITERS = 4
LOAD_SECONDS = 1.2


async def survive(server: Server, rounds: int) -> None:
    rng = random.Random(rounds)
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with new_http() as http:
        ledger = Ledger()

        def new_client() -> NexxusClient:
            client = NexxusClient(server.endpoint, app["id"], http=http, ledger=ledger)
            client.repeats = True
            return client

        load = Load()
        writers = [new_client() for _ in range(WRITERS)]
        watchers = [await new_client().register_device() for _ in range(3)]
        await load.prepare(writers[0])
        for watcher in watchers:
            await watcher.connect()
            await load.subscribe(watcher)

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

        assert load.accepted > 20 * rounds
        assert await judge(load, writers[0], watchers) == Verdict()
        for client in (*writers, *watchers):
            await client.close()
            client.check()
    admin.close()


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
