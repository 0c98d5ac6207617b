"""Every node is restarted, one after the other, while everybody works."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient
from cluster import Cluster
from documents import open_application
from load import Load, judge, staying_connected
from server import Endpoint
from view import Ledger

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("cluster")]

WRITERS = 3
WATCHERS = 3
PAUSE = 0.05


class Writer(NexxusClient):
    """Notes in `failures` whatever is no acceptance."""

    failures: list[str]

    async def write(self, *arguments: Any, **options: Any) -> httpx2.Response:
        try:
            answer = await super().write(*arguments, **options)
        except httpx2.TransportError as error:
            self.failures.append(repr(error))
            raise
        if answer.status_code != 202:
            self.failures.append(f"{answer.status_code} {answer.text}")
        return answer


class Watcher(NexxusClient):
    """Notes in `close_codes` how each of its connections ended."""

    close_codes: list[int | None]

    async def connect(self, **options: Any) -> NexxusClient:
        if self.connection is not None:
            self.close_codes.append(self.connection.close_code)
        return await super().connect(**options)


@pytest.mark.contract("4. Models", "no accepted write is lost, none is applied twice")
@pytest.mark.contract("10. The process", "it drains and exits with 0")
async def test_a_rolling_restart_fails_no_write_and_loses_no_event(
    cluster: Cluster, balanced: Endpoint, admin: Admin
) -> None:
    app = admin.create(open_application())
    ledger = Ledger()
    # A connection for each request: one that is kept may be closed just when it is used again,
    # and the client could not know whether its request was heard. HTTP's own balancers know.
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with AsyncExitStack() as resources:
        http = await resources.enter_async_context(
            httpx2.AsyncClient(timeout=60, limits=limits, trust_env=False)
        )
        writers = [Writer(balanced, app["id"], http=http, ledger=ledger) for _ in range(WRITERS)]
        watchers = [Watcher(balanced, app["id"], http=http, ledger=ledger) for _ in range(WATCHERS)]
        for client in (*writers, *watchers):
            resources.push_async_callback(client.close)
        for writer in writers:
            writer.failures = []
        load = Load(pause=PAUSE)
        await load.prepare(writers[0])
        for watcher in watchers:
            watcher.close_codes = []
            await watcher.register_device()
            await watcher.connect()
            await load.subscribe(watcher)

        load.running = True
        writing = [
            asyncio.create_task(load.write(each, Random(n))) for n, each in enumerate(writers)
        ]
        async with staying_connected({w: Random(n) for n, w in enumerate(watchers)}) as gave_up:
            try:
                for node in cluster:
                    await asyncio.to_thread(node.stop)
                    assert node.exit_code == 0, f"{node.directory.name}\n{node.last_words()}"
                    await asyncio.to_thread(node.start)
            finally:
                load.running = False
                ends = await asyncio.gather(*writing, return_exceptions=True)
                for node in cluster:
                    await asyncio.to_thread(node.start)

            assert ends == [None] * len(ends)
            verdict = await judge(load, writers[0], watchers)
        assert gave_up == []
        assert verdict.lost == verdict.diverged == []
        assert [failure for writer in writers for failure in writer.failures] == []
        codes = [code for watcher in watchers for code in watcher.close_codes]
        assert len(codes) >= WATCHERS
        assert set(codes) == {1001}
        assert load.accepted > 100
