"""A Nexxus server as a process of its own: started, stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from ports import free_port

ADMIN_KEY = "an-admin-key-for-tests-only-0123456789"
COMMAND = str(Path(sys.executable).with_name("nexxus"))
CHEAP_PASSWORDS = {"NEXXUS_AUTH__TIME_COST": "1", "NEXXUS_AUTH__MEMORY_COST": "8"}
"""Hundreds of users register in a test run; hashing is slow by design."""

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


@dataclass(frozen=True)
class Endpoint:
    """Where a server answers, and the key that manages it."""

    url: str
    ws_url: str
    admin_key: str

    @property
    def api_ws_url(self) -> str:
        """The WebSocket on the API's own port."""
        return "ws" + self.url.removeprefix("http") + "/ws"


def endpoint_from_environment() -> Endpoint | None:
    """The server that ``NEXXUS_URL`` names, None where the tests are to start their own."""
    url = os.environ.get("NEXXUS_URL")
    if not url:
        return None
    url = url.rstrip("/")
    ws_url = os.environ.get("NEXXUS_WS_URL") or "ws" + url.removeprefix("http") + "/ws"
    return Endpoint(url, ws_url, os.environ["NEXXUS_ADMIN_KEY"])


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without any of Nexxus's own variables, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXXUS_")}
    return {**kept, **extra}


def run_nexxus(
    *arguments: str, cwd: Path, timeout: float = 30.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a `nexxus` command to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def serving(folders: pytest.TempPathFactory, **environment: str) -> Iterator[Endpoint]:
    """The server that the environment names, or else one of our own for as long as it is used.

    `environment` is what our own finds in its environment besides ours.
    """
    given = endpoint_from_environment()
    if given is not None:
        yield given
        return
    server = Server(folders.mktemp("server"), **environment)
    try:
        yield server.start().endpoint
        assert server.stop() == 0, server.log[-8000:]
    finally:
        server.close()


class Server:
    """``nexxus serve`` in a folder of its own, on ports of its own.

    `arguments` are given to the command as they are. The ports and the data directory stay the
    same from start to start, so that a client finds its server again.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.arguments = arguments
        self.environment = {"NEXXUS_ADMIN__KEY": ADMIN_KEY, **CHEAP_PASSWORDS, **environment}
        self.port = free_port()
        self.gateway_port = free_port()
        self.data_dir = folder / "data"
        self.log_path = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        return Endpoint(
            f"http://127.0.0.1:{self.port}",
            f"ws://127.0.0.1:{self.gateway_port}/",
            self.environment.get("NEXXUS_ADMIN__KEY", ""),
        )

    @property
    def log(self) -> str:
        """Everything that it has printed, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def launch(self) -> None:
        """Start the process without waiting for it to be ready."""
        assert self.process is None, "the server runs already"
        command = [
            *(COMMAND, "serve"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--gateway-port", str(self.gateway_port)),
            *("--data-dir", str(self.data_dir)),
            *self.arguments,
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=clean_environment(**self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> Server:
        """Start the process and return when it is ready."""
        self.launch()
        self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Return when ``/readyz`` says so; fails with the log when the process ends instead."""
        assert self.process is not None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"exit {self.process.returncode}:\n{self.log[-8000:]}")
            try:
                if httpx2.get(f"{self.endpoint.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {timeout:g} s:\n{self.log[-8000:]}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> int:
        """SIGTERM; its exit code. Kills it, and fails, when it does not drain in time."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not drain in {timeout:g} s:\n{self.log[-8000:]}") from None
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self) -> None:
        """Make sure that nothing is left running."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.process = None
