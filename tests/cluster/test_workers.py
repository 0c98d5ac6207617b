"""Custom workers on two nodes: the audit log of the examples, and one that gives up soon."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from client import Admin, NexxusClient, replace
from cluster import Cluster, NexxusNode
from documents import open_application
from waiting import eventually

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("cluster")]

OBJECTS = 20
UPDATES = 14
POISON = "poison"
"""The title of what ``impatient-log`` cannot handle without a cure."""

Line = tuple[str, int]
"""An object's id and a version of it."""


@pytest.fixture
def app(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture
def workers(cluster: Cluster) -> list[NexxusNode]:
    return cluster.nodes["workers"]


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    return await new_client(app).register_device()  # type: ignore[no-any-return]


def handled(node: NexxusNode, app: Any, file: str = "audit.jsonl") -> list[Line]:
    """What the worker of a node has written of an application's objects, in order."""
    path = node.directory / "data" / file
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [(each["id"], each["version"]) for each in entries if each["appId"] == app["id"]]


def all_handled(workers: list[NexxusNode], app: Any, file: str = "audit.jsonl") -> set[Line]:
    return {line for node in workers for line in handled(node, app, file)}


def is_in_order(lines: list[Line]) -> bool:
    """Whether every object's versions grow."""
    versions: dict[str, list[int]] = {}
    for object_id, version in lines:
        versions.setdefault(object_id, []).append(version)
    return all(a < b for each in versions.values() for a, b in pairwise(each))


async def shared(client: NexxusClient, app: Any, workers: list[NexxusNode]) -> None:
    """Return when both nodes have work to do."""

    async def both_work() -> bool:
        await client.create("note", text="x", wait=False)
        return all(handled(node, app) for node in workers)

    await eventually(both_work)


@pytest.mark.contract("9. Queues", "a custom worker")
async def test_a_worker_killed_in_the_middle_costs_no_event_and_no_order(
    client: NexxusClient, app: Any, workers: list[NexxusNode]
) -> None:
    killed, survivor = workers
    await shared(client, app, workers)

    async def live(number: int) -> None:
        object_id = f"object-{number}"
        await client.create("task", id=object_id, title="x", points=0, wait=False)
        for points in range(UPDATES):
            await client.update("task", object_id, replace(points=points), wait=False)

    lives = asyncio.gather(*map(live, range(OBJECTS)))

    def tasks() -> set[Line]:
        return {line for line in all_handled(workers, app) if line[0].startswith("object-")}

    await eventually(lambda: len(tasks()) > OBJECTS)
    await asyncio.to_thread(killed.kill)
    before = handled(killed, app)
    try:
        await lives
        expected = {
            (f"object-{n}", version) for n in range(OBJECTS) for version in range(1, UPDATES + 2)
        }
        await eventually(lambda: tasks() == expected)
    finally:
        await asyncio.to_thread(killed.start)
    assert is_in_order(before)
    assert is_in_order(handled(survivor, app))

    # It takes its share again, and goes on where the other one was.
    for number in range(OBJECTS):
        await client.update("task", f"object-{number}", replace(points=-1), wait=False)
    expected |= {(f"object-{n}", UPDATES + 2) for n in range(OBJECTS)}
    await eventually(lambda: tasks() == expected)
    assert is_in_order(handled(survivor, app))
    assert is_in_order(handled(killed, app)[len(before) :])


@pytest.mark.contract("9. Queues", "a custom worker")
async def test_what_a_worker_fails_with_comes_again_and_later_events_wait_behind_it(
    client: NexxusClient, app: Any, workers: list[NexxusNode]
) -> None:
    files = [node.directory / "data" / "audit.jsonl" for node in workers]

    def failures() -> int:
        message = "messages failed and are tried again"
        return sum(node.log_path.read_text().count(message) for node in workers)

    so_far = failures()
    for file in files:
        if file.exists():
            file.rename(file.with_suffix(".kept"))
        file.mkdir()  # nothing can be appended to a folder
    try:
        task = await client.create("task", title="x", points=0)
        await eventually(lambda: failures() > so_far)
        for points in range(3):
            await client.update("task", task["id"], replace(points=points))
        await eventually(lambda: failures() > so_far + 2)
        with_nothing_done = [list(file.iterdir()) for file in files]
    finally:
        for file in files:
            file.rmdir()
    assert with_nothing_done == [[], []]

    expected = [(task["id"], version) for version in range(1, 5)]
    await eventually(lambda: sorted(all_handled(workers, app)) == expected)
    assert all(is_in_order(handled(node, app)) for node in workers)


@pytest.mark.contract("9. Queues", "a custom worker")
async def test_what_fails_again_and_again_is_a_dead_letter_alone_and_can_be_replayed(
    client: NexxusClient, admin: Admin, app: Any, workers: list[NexxusNode]
) -> None:
    async def letters() -> list[Any]:
        answer = await asyncio.to_thread(
            admin.http.get, "/dead-letters", params={"queue": "worker.impatient-log"}
        )
        assert answer.status_code == 200, answer.text
        return [each for each in answer.json()["data"]["items"] if app["id"] in json.dumps(each)]

    def log() -> set[Line]:
        return all_handled(workers, app, "impatient.jsonl")

    poison, *others = await asyncio.gather(
        client.create("task", title=POISON, wait=False),
        *(client.create("task", title="x", wait=False) for _ in range(10)),
    )
    await client.update("task", poison["id"], replace(title="no poison any more"), wait=False)

    [letter] = await eventually(letters)
    assert "this is poison" in json.dumps(letter)
    # Neither those that shared its batches nor the object's later events go with it.
    await eventually(lambda: log() == {(poison["id"], 2), *((each["id"], 1) for each in others)})
    assert len(await letters()) == 1

    cures = [node.directory / "data" / "cure" for node in workers]
    for cure in cures:
        cure.touch()
    try:
        replayed = await asyncio.to_thread(
            admin.http.post, "/dead-letters/replay", json={"ids": [letter["id"]]}
        )
        assert replayed.json() == {"data": {"count": 1}}
        await eventually(lambda: (poison["id"], 1) in log())
    finally:
        for cure in cures:
            cure.unlink()

    async def none_left() -> bool:
        return not await letters()

    await eventually(none_left)
