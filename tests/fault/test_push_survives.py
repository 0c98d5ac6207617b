"""Devices that are away are pushed what was written before a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import push_process
import pytest
from killable_server import KillableServer

LETTERS = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KillableServer]:
    server = KillableServer(push_process.__file__, tmp_path, "post")
    server.start()
    yield server
    server.close()


def test_every_device_is_pushed_what_was_written_before_its_server_was_killed(
    server: KillableServer,
) -> None:
    names = [f"l{number}" for number in range(LETTERS)]
    for name in names:
        session = server.request("POST", "/device/register", {"name": name}).json()
        push = {"push": {"service": "post", "token": name}}
        server.request("PUT", "/device", push, token=session["token"])
        asked = {"model": "letter", "id": name}
        subscribed = server.request("POST", "/subscription/", asked, token=session["token"])
        assert subscribed.status_code == 200, subscribed.text

    write(server, names[:10])  # which nobody routes
    server.kill()
    (server.folder / "route").touch()
    server.start()
    write(server, names[10:])  # which are pushed to nobody
    server.kill()
    assert server.lines("pushed") == []
    (server.folder / "go").touch()
    server.start()

    # A push may say that something may have been missed, beside what it shows.
    expected = {f"{name} letter {name}" for name in names}
    server.until(lambda: set(server.lines("pushed")) >= expected)


def write(server: KillableServer, names: list[str]) -> None:
    for name in names:
        body = {"id": name, "title": f"letter {name}"}
        assert server.request("POST", "/model/letter", body).status_code == 202
