"""Custom workers' queues over HTTP and from the command line."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from nexxus.cli.root import cli
from nexxus.domain.events import Event
from nexxus.interfaces.broker import EVENTS, Message, worker_group
from nexxus.server import Nexxus


async def publish(server: Nexxus, count: int) -> None:
    for version in range(1, count + 1):
        event = Event("model_created", "shop", "item", "a", version, None, {"id": "a"})
        await server.broker.publish(EVENTS, [Message("a", event)])


async def test_configured_workers_are_listed_with_their_backlog(
    admin_http: httpx2.AsyncClient, server: Nexxus
):
    await publish(server, 3)
    assert (await admin_http.get("/workers")).json() == {
        "data": {"items": [{"name": "mail", "backlog": 3}]}
    }


async def test_a_worker_that_is_configured_is_not_removed(
    admin_http: httpx2.AsyncClient, server: Nexxus
):
    await publish(server, 3)
    response = await admin_http.delete("/workers/mail")
    assert response.status_code == 400
    assert "server.workers of this node" in response.json()["message"]
    assert await server.broker.depth(worker_group("mail")) == 3


async def test_one_that_was_taken_out_is_removed_with_what_waits_for_it(
    admin_http: httpx2.AsyncClient, server: Nexxus
):
    gone = worker_group("gone")
    await server.broker.declare(gone)
    await publish(server, 3)
    for _ in range(2):
        response = await admin_http.delete("/workers/gone")
        assert (response.status_code, response.json()) == (200, {"message": "worker removed"})
    assert await server.broker.depth(gone) == 0
    await publish(server, 1)
    assert await server.broker.depth(gone) == 0


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", "/mail")])
async def test_without_the_admin_key_nothing_is_done(
    admin_http: httpx2.AsyncClient, method: str, path: str
):
    response = await admin_http.request(
        method, f"/workers{path}", headers={"authorization": "Bearer wrong"}
    )
    assert response.status_code == 401


class FakeServer:
    """Answers as the administration API would, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.items: list[dict[str, Any]] = []

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None: ...

    def admin(self, method: str, path: str) -> Any:
        self.asked.append((method, path))
        return {"data": {"items": self.items}, "message": "worker removed"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    import nexxus.cli.worker as command

    fake = FakeServer()
    monkeypatch.setattr(command, "connect", lambda *_: fake)
    return fake


def run(*arguments: str, **options: Any) -> str:
    result = CliRunner().invoke(cli, ["worker", *arguments], **options)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_lists_workers(fake: FakeServer):
    assert run("list") == "No custom workers.\n"
    fake.items = [{"name": "mail", "backlog": 12}]
    assert run("list").splitlines() == ["NAME  BACKLOG", "mail  12"]
    assert json.loads(run("list", "--json")) == fake.items


def test_the_command_line_removes_a_worker_when_that_is_confirmed(fake: FakeServer):
    assert run("remove", "ma/il", "--yes") == "worker removed\n"
    assert fake.asked == [("DELETE", "/workers/ma%2Fil")]
    assert CliRunner().invoke(cli, ["worker", "remove", "mail"], input="n\n").exit_code == 1
    assert len(fake.asked) == 1
