"""Writes and subscriptions while servers and networks fail, and the judgement of it all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

import httpx2
from client import NexxusClient, unique
from view import Document
from waiting import eventually
from websockets.exceptions import WebSocketException

T = TypeVar("T")

COUNTERS: Final = tuple(f"c{number}" for number in range(6))
STATUSES: Final = ("todo", "doing", "done")
CONNECTS_WITHIN: Final = 10.0

CONVERGES_WITHIN: Final = 60.0
"""Seconds after which a view that is still wrong counts as diverged, when everything runs."""

ACCEPTED_WITHIN: Final = 120.0
"""Seconds after which a write that is tried again and again counts as never accepted."""

DECIDED_WITHIN: Final = 60.0
"""Seconds after which a write that is not decided is in limbo, when everything is well again."""

JUDGED_AT_A_TIME: Final = 16


class Load:
    """Writers that retry until they have an answer, and know what they were promised.

    Counters are incremented, objects are created, and some of those deleted. `surprises` are
    answers that tell neither that a write was taken nor that a service is away. `pause` is how many
    seconds a writer rests between two writes, on average.
    """

    def __init__(self, *, pause: float = 0.0) -> None:
        self.running = False
        self.operations: dict[str, list[str]] = defaultdict(list)
        self.titles: dict[str, str] = dict.fromkeys(COUNTERS, "counter")
        self.surprises: list[str] = []
        self._pause = pause

    @property
    def accepted(self) -> int:
        """How many writes were answered with 202."""
        return sum(map(len, self.operations.values()))

    async def prepare(self, client: NexxusClient) -> None:
        """Create the counters."""
        for counter in COUNTERS:
            body = {"id": counter, "title": "counter", "points": 0, "status": "todo"}
            await self._insist(client, "POST", "/model/task", body, counter)

    async def subscribe(self, watcher: NexxusClient) -> None:
        """Follow channels of every kind; those with a filter are entered and left all the time."""
        await watcher.subscribe("task", limit=5000)
        await watcher.subscribe("task", id="c0", limit=10)
        await watcher.subscribe("task", filter={"points": {"gte": 20}}, limit=5000)
        await watcher.subscribe("task", filter={"status": {"in": ["todo", "done"]}}, limit=5000)

    async def write(self, client: NexxusClient, rng: Random) -> None:
        """Write until told to stop."""
        own: list[str] = []
        while self.running:
            choice = rng.random()
            # Most events are the last of their object: no later one makes up for one that was lost.
            if choice < 0.4:
                await self._increment(client, rng)
            elif choice < 0.75 or not own:
                title = unique("t")
                created = await self._insist(client, "POST", "/model/task", {"title": title})
                own.append(created)
                self.titles[created] = title
            else:
                gone = own.pop(rng.randrange(len(own)))
                await self._insist(client, "DELETE", f"/model/task/{gone}", None, gone)
                del self.titles[gone]
            await asyncio.sleep(rng.random() * 2 * self._pause)

    async def _increment(self, client: NexxusClient, rng: Random) -> None:
        counter = rng.choice(COUNTERS)
        patch = [
            {"op": "incr", "path": "points", "value": 1},
            {"op": "replace", "path": "status", "value": rng.choice(STATUSES)},
        ]
        await self._insist(client, "PUT", f"/model/task/{counter}", {"patch": patch}, counter)

    async def _insist(
        self, client: NexxusClient, method: str, path: str, body: Any, object_id: str = ""
    ) -> str:
        """Repeat a write, as the same one, until the server has taken it; the object's id."""
        key = unique("key")
        async with asyncio.timeout(ACCEPTED_WITHIN):
            while True:
                try:
                    answer = await client.write(method, path, body, wait=False, Idempotency_Key=key)
                except httpx2.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.status_code == 202:
                    break
                if answer.status_code != 503:
                    self.surprises.append(f"{method} {path}: {answer.status_code} {answer.text}")
                await asyncio.sleep(0.02)
        object_id = object_id or answer.json()["data"]["id"]
        self.operations[object_id].append(answer.headers["nxx-operation-id"])
        return object_id


@dataclass
class Verdict:
    """What is wrong when everything should be well, a sentence each.

    `lost` is about accepted writes: one that is not there, not decided, or there twice.
    `diverged` is about clients: a view that differs from the database, a broken promise, an
    answer that should not be.
    """

    lost: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)


async def judge(load: Load, client: NexxusClient, watchers: Iterable[NexxusClient]) -> Verdict:
    """Compare every accepted write, and every view of the watchers, with the database.

    To be called when writes have stopped and everything runs, while the watchers are kept connected
    (`staying_connected`).
    """
    verdict = Verdict(diverged=list(load.surprises))
    fates = await _fates(load, client)
    for object_id, operations in load.operations.items():
        verdict.lost += _judge_fates(object_id, [fates[operation] for operation in operations])
    stored = {item["id"]: item for item in await at_last(lambda: client.search_all("task"))}
    verdict.lost += _judge_stored(load, stored)
    for watcher in watchers:
        try:
            await watcher.settled()
            for view in watcher.views.values():
                await watcher.converged(view, patience=CONVERGES_WITHIN)
        except (AssertionError, httpx2.TransportError) as error:
            verdict.diverged.append(f"{watcher.device_id}: {error!r}")
    return verdict


def _judge_fates(object_id: str, fates: list[Document]) -> list[str]:
    """All were applied, each once: they are the versions 1, 2, 3… of their object."""
    wrong = [f"{object_id}: {fate}" for fate in fates if fate["state"] != "applied"]
    versions = sorted(fate["version"] for fate in fates if fate["state"] == "applied")
    if not wrong and versions != list(range(1, len(fates) + 1)):
        wrong.append(f"{object_id}: a version is missing, or there twice: {versions}")
    return wrong


def _judge_stored(load: Load, stored: dict[str, Document]) -> list[str]:
    """Everything is there that was accepted, and nothing else."""
    wrong = []
    for object_id in sorted(load.titles.keys() | stored.keys()):
        title, item = load.titles.get(object_id), stored.get(object_id)
        if item is None or item["title"] != title:
            wrong.append(f"{object_id}: {title!r} is stored as {item}")
            continue
        version = len(load.operations[object_id])
        points = version - 1 if object_id in COUNTERS else None
        if (item["version"], item.get("points")) != (version, points):
            wrong.append(f"{object_id}: {version} writes were accepted, stored is {item}")
    return wrong


async def _fates(load: Load, client: NexxusClient) -> dict[str, Document]:
    """The fate of every accepted write, by operation; ``queued`` for those that are in limbo."""
    fates: dict[str, Document] = {}
    waiting = [operation for each in load.operations.values() for operation in each]
    turns = asyncio.Semaphore(JUDGED_AT_A_TIME)

    async def ask(operation: str) -> None:
        async with turns:
            fates[operation] = await at_last(lambda: client.fate(operation))

    async def are_decided() -> bool:
        await asyncio.gather(*map(ask, waiting))
        waiting[:] = [each for each in waiting if fates[each]["state"] == "queued"]
        return not waiting

    with suppress(AssertionError):
        await eventually(are_decided, patience=DECIDED_WITHIN)
    return fates


async def at_last(read: Callable[[], Awaitable[T]]) -> T:
    """What a reading gives, tried again while servers are not quite there yet."""

    async def attempt() -> list[T]:
        try:
            return [await read()]
        except httpx2.TransportError as error:
            raise AssertionError(repr(error)) from error

    (found,) = await eventually(attempt)
    return found


@asynccontextmanager
async def staying_connected(clients: Mapping[NexxusClient, Random]) -> AsyncIterator[list[str]]:
    """Connect these clients whenever they have no connection. Most of the times they resume.

    A connection may look open and be dead for as long as the client's pings take to show it. So
    clients have to stay connected until their views have been judged. At the end every client must
    have an open connection; the list that is yielded then says which of them do not, and why.
    """
    gave_up: list[str] = []
    staying = {
        client: asyncio.create_task(_stay_connected(client, rng)) for client, rng in clients.items()
    }
    try:
        yield gave_up
        for client, task in staying.items():
            try:
                await eventually(lambda client=client: client.socket.is_open)
            except AssertionError:
                why = repr(task.exception()) if task.done() else "it is refused again and again"
                gave_up.append(f"{client.device_id} is not connected: {why}")
    finally:
        for task in staying.values():
            task.cancel()
        await asyncio.gather(*staying.values(), return_exceptions=True)


async def _stay_connected(client: NexxusClient, rng: Random) -> None:
    while True:
        if client.socket.is_open:
            await client.socket.ended()
        try:
            async with asyncio.timeout(CONNECTS_WITHIN):
                await client.connect(resume=client.cursor is not None and rng.random() < 0.7)
        except (AssertionError, OSError, TimeoutError, WebSocketException):
            await client.drop()  # half a connection may be there
            await asyncio.sleep(0.1)
