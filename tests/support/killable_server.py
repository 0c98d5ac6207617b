"""A server in a process of its own, started from a script, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from ports import free_port

PATIENCE = 30.0


class KillableServer:
    """Runs ``python SCRIPT FOLDER PORT`` and kills it. `app` is the application of its requests."""

    def __init__(self, script: str, folder: Path, app: str) -> None:
        self.folder = folder
        self._script = script
        self._port = free_port()
        # No connection of a killed server is used again.
        self._http = httpx2.Client(
            base_url=f"http://127.0.0.1:{self._port}",
            headers={"nxx-app-id": app},
            limits=httpx2.Limits(max_keepalive_connections=0),
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, self._script, str(self.folder), str(self._port)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.until(self._is_ready)

    def kill(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def request(
        self, method: str, path: str, body: Any = None, *, token: str = ""
    ) -> httpx2.Response:
        """The answer to a request."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self._http.request(method, path, json=body, headers=headers)

    def close(self) -> None:
        """Kill the server, and end."""
        self.kill()
        self._http.close()

    def lines(self, name: str) -> list[str]:
        """What the server has written to a file of its folder."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a state."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, condition
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/readyz").is_success
        except httpx2.TransportError:
            return False
