"""Devices that are away are pushed to by a cluster, whatever becomes of its nodes."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient
from cluster import Cluster, NexxusNode
from documents import open_application
from nodes import at
from waiting import eventually

pytestmark = pytest.mark.xdist_group("cluster")

contract = partial(pytest.mark.contract, "12. Push")

RULE = {"title": "{title}", "body": "", "on": ["created"], "quiet": 0}


@pytest.fixture
def app(admin: Admin) -> Any:
    return admin.create({**open_application(), "push": {"task": RULE}})


class Pushes:
    """What the nodes of a cluster have pushed."""

    def __init__(self, cluster: Cluster) -> None:
        self._nodes: list[NexxusNode] = cluster.nodes["transport-manager"]

    def of(self, client: NexxusClient) -> list[Any]:
        """To a device."""
        found = []
        for node in self._nodes:
            path = node.directory / "data" / "pushes.jsonl"
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            found += [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [each for each in found if each["token"] == client.device_id]

    def titles(self, client: NexxusClient) -> list[str]:
        """What was shown on a device."""
        return [each["title"] for each in self.of(client) if each["title"]]


@pytest.fixture
def pushes(cluster: Cluster) -> Pushes:
    return Pushes(cluster)


async def persistent(client: NexxusClient) -> NexxusClient:
    await client.register_device()
    push = {"service": "post", "token": client.device_id}
    await client.ok("PUT", "/device", {"push": push})
    return client


@contract("while it is connected it receives frames and no pushes")
async def test_a_device_is_pushed_to_while_it_is_away_and_only_then(
    cluster: Cluster, app: Any, new_client: Any, pushes: Pushes
) -> None:
    writer = await new_client(app).register_device()
    device = await persistent(new_client(app))
    other = await persistent(new_client(app))
    await device.subscribe("task", limit=5000)
    await other.ok("POST", "/subscription/", {"model": "task"})

    await writer.create("task", title="while away", points=1)
    await eventually(lambda: pushes.titles(device) == ["while away"])

    await device.connect(url=at(cluster, api=1, gateway=2).ws_url)
    await writer.create("task", title="while here", points=1)
    await device.converged()
    await eventually(lambda: "while here" in pushes.titles(other))
    assert pushes.titles(device) == ["while away"]

    await device.socket.close()

    async def is_pushed_again() -> bool:
        await writer.create("task", title="gone again", points=1)
        return "gone again" in pushes.titles(device)

    await eventually(is_pushed_again)
    assert "while here" not in pushes.titles(device)


@pytest.mark.long
async def test_a_device_whose_gateway_is_killed_learns_that_it_may_have_missed_something(
    cluster: Cluster, app: Any, new_client: Any, pushes: Pushes
) -> None:
    writer = await new_client(app).register_device()
    device = await persistent(new_client(app))
    await device.connect(url=at(cluster, api=1, gateway=2).ws_url)
    await device.subscribe("task", limit=5000)
    node = cluster.nodes["gateway"][1]
    node.kill()
    await writer.create("task", title="unseen", points=1)

    def is_told() -> bool:
        return any(each["data"]["event"] == "resync" for each in pushes.of(device))

    await eventually(is_told, patience=60)
    node.start()
    await writer.create("task", title="seen", points=1)
    await eventually(lambda: "seen" in pushes.titles(device), patience=60)


@pytest.mark.long
async def test_what_a_killed_node_was_to_push_is_pushed_by_another(
    cluster: Cluster, app: Any, new_client: Any, pushes: Pushes
) -> None:
    writer = await new_client(app).register_device()
    devices = [await persistent(new_client(app)) for _ in range(20)]
    for number, device in enumerate(devices):
        await device.ok("POST", "/subscription/", {"model": "task", "id": f"killed-{number}"})
    node = cluster.nodes["transport-manager"][0]
    for number in range(20):
        fields = {"id": f"killed-{number}", "title": f"title {number}", "points": number}
        await writer.create("task", **fields, wait=False)
        if number == 10:
            node.kill()
    await eventually(
        lambda: all(
            set(pushes.titles(device)) == {f"title {number}"}
            for number, device in enumerate(devices)
        ),
        patience=120,
    )
    node.start()
