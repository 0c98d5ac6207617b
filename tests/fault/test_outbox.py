"""A custom worker of a killed process has every event in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import worker_process
from killable_server import KillableServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KillableServer]:
    server = KillableServer(worker_process.__file__, tmp_path, "shop")
    server.start()
    yield server
    server.close()


def write(server: KillableServer, object_id: str, number: int) -> bool:
    """Create an object; return whether that was accepted."""
    body = {"id": object_id, "number": number}
    try:
        return server.request("POST", "/model/item", body).status_code == 202
    except httpx2.TransportError:
        return False


def test_what_a_worker_had_not_handled_when_its_process_was_killed_comes_again(
    server: KillableServer,
) -> None:
    accepted = [f"i{number}" for number in range(50) if write(server, f"i{number}", number)]
    assert len(accepted) == 50
    assert server.lines("handled") == []
    server.kill()
    server.start()
    assert write(server, "later", 1)
    server.kill()
    server.start()
    (server.folder / "go").touch()

    expected = {f"{each} 1" for each in [*accepted, "later"]}
    server.until(lambda: set(server.lines("handled")) >= expected)
    assert set(server.lines("handled")) == expected
