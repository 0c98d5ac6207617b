"""A custom worker of a killed process has every event in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import worker_process
from ports import free_port

PATIENCE = 30.0


class KillableServer:
    """Runs `worker_process` and kills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, worker_process.__file__, str(self.folder), str(self.port)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.until(self._is_ready)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def write(self, object_id: str, number: int) -> bool:
        """Create an object; return whether that was accepted."""
        try:
            answer = httpx2.post(
                f"http://127.0.0.1:{self.port}/model/item",
                json={"id": object_id, "number": number},
                headers={"nxx-app-id": "shop"},
            )
        except httpx2.TransportError:
            return False
        return answer.status_code == 202

    @property
    def handled(self) -> list[str]:
        path = self.folder / "handled"
        return path.read_text().splitlines() if path.exists() else []

    def until(self, condition: object) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, self.handled
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/readyz").is_success
        except httpx2.TransportError:
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KillableServer]:
    server = KillableServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_what_a_worker_had_not_handled_when_its_process_was_killed_comes_again(
    server: KillableServer,
) -> None:
    accepted = [f"i{number}" for number in range(50) if server.write(f"i{number}", number)]
    assert len(accepted) == 50
    assert server.handled == []
    server.kill()
    server.start()
    assert server.write("later", 1)
    server.kill()
    server.start()
    (server.folder / "go").touch()

    expected = {f"{each} 1" for each in [*accepted, "later"]}
    server.until(lambda: set(server.handled) >= expected)
    assert set(server.handled) == expected
