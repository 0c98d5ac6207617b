"""One run of chaos: rounds of faults under load, with a check after each."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import httpx2
from client import Admin, NexxusClient, new_http
from documents import open_application
from load import Load, Verdict, at_last, judge, staying_connected
from services.local_server import ServerFailed
from view import Ledger

from chaos.plan import Fault
from chaos.world import World

WRITERS: Final = 6
WATCHERS: Final = 4
FAULTS_AT_A_TIME: Final = 4

_PAUSE: Final = 0.05
_ANSWER_WITHIN: Final = 10.0
_PING_INTERVAL: Final = 4.0


@dataclass
class Totals:
    """The result of a run."""

    faults: int = 0
    accepted: int = 0
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost and no client saw anything wrong."""
        return self.verdict == Verdict()

    def __str__(self) -> str:
        lost, diverged = len(self.verdict.lost), len(self.verdict.diverged)
        return f"faults={self.faults} accepted={self.accepted} lost={lost} diverged={diverged}"


class Run:
    """Inflicts faults on a world; each round has its own application and clients.

    Actions and findings are reported line by line, with the seconds since the run began.
    """

    def __init__(self, world: World, seed: int, report: Callable[[str], None]) -> None:
        self.totals = Totals()
        self._world = world
        self._rng = random.Random(seed)
        self._report = report
        self._began = time.monotonic()

    async def round(self, faults: Sequence[Fault]) -> None:
        """Inflict faults under load, wait for recovery, and check everything.

        Raises `ServerFailed` if a process does not recover, because nothing can be checked then.
        """
        verdict = self.totals.verdict
        async with AsyncExitStack() as resources:
            http = await resources.enter_async_context(new_http(_ANSWER_WITHIN))
            clients = await self._clients(http)
            for client in clients:
                resources.push_async_callback(client.close)
            writers, watchers = clients[:WRITERS], clients[WRITERS:]
            load = Load(pause=_PAUSE)
            await load.prepare(writers[0])
            for watcher in watchers:
                await at_last(watcher.connect)
                await at_last(lambda watcher=watcher: load.subscribe(watcher))

            load.running = True
            work = [asyncio.create_task(load.write(each, self._new_rng())) for each in writers]
            kept = {each: self._new_rng() for each in watchers}
            try:
                async with staying_connected(kept) as gave_up:
                    await self._storm(faults)
                    await self._world.recover()
                    load.running = False
                    ends = await asyncio.gather(*work, return_exceptions=True)
                    found = await judge(load, writers[0], watchers)
            finally:
                load.running = False
                for task in work:
                    task.cancel()
            self.totals.accepted += load.accepted
            found.diverged += [f"a writer gave up: {end!r}" for end in ends if end is not None]
            found.diverged += gave_up
            found.diverged += self._world.ended
            self._world.ended.clear()
            self._report_verdict(load, found)
            verdict.lost += found.lost
            verdict.diverged += found.diverged

    async def _clients(self, http: httpx2.AsyncClient) -> list[NexxusClient]:
        admin = Admin(self._world.endpoint)
        try:
            app = await at_last(lambda: asyncio.to_thread(admin.create, open_application()))
        finally:
            admin.close()
        ledger = Ledger()
        clients = []
        for _ in range(WRITERS + WATCHERS):
            client = NexxusClient(self._world.endpoint, app["id"], http=http, ledger=ledger)
            client.repeats = True
            client.ping_interval = _PING_INTERVAL
            clients.append(client)
        # Writers have no device, so that each of them can read the operations of all.
        for watcher in clients[WRITERS:]:
            await at_last(watcher.register_device)
        return clients

    async def _storm(self, faults: Sequence[Fault]) -> None:
        turns = asyncio.Semaphore(FAULTS_AT_A_TIME)

        async def inflict(fault: Fault) -> None:
            try:
                await self._world.inflict(fault)
            finally:
                turns.release()

        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(fault.after)
                await turns.acquire()
                self._say(f"fault {fault.number}: {fault}")
                self.totals.faults += 1
                group.create_task(inflict(fault))

    def _new_rng(self) -> random.Random:
        return random.Random(self._rng.random())

    def _report_verdict(self, load: Load, found: Verdict) -> None:
        self._say(
            f"checked {load.accepted} writes: lost={len(found.lost)} diverged={len(found.diverged)}"
        )
        for sentence in (*found.lost, *found.diverged):
            self._report(f"    {sentence}")

    def _say(self, what: str) -> None:
        self._report(f"{time.monotonic() - self._began:7.1f} s  {what}")


async def run(
    world: World,
    faults: Sequence[Fault],
    *,
    seed: int,
    per_round: int,
    report: Callable[[str], None],
) -> Totals:
    """Inflict all faults in rounds, and return the result."""
    running = Run(world, seed, report)
    for first in range(0, len(faults), per_round):
        try:
            await running.round(faults[first : first + per_round])
        except ServerFailed as error:
            running.totals.verdict.diverged.append(str(error))
            report(f"gave up: {error}")
            break
    return running.totals
