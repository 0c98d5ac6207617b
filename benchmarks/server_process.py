"""Servers under measurement, each a process of its own: Nexxus, and the bare references."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

APP = "bench"
MODEL = "task"
CONFIGURATION = """
[[applications]]
id = "bench"
name = "Benchmark"

[applications.schema.task.fields]
title = {type = "string", required = true}
status = {type = "string", filterable = true}
points = {type = "int", filterable = true}
"""
REFERENCES = Path(__file__).with_name("bare_servers.py")
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
POLL_PAUSE = 0.003


@dataclass(frozen=True)
class ServerProcess:
    """A running server: its process id, and the port of 127.0.0.1 on which it answers."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """The CPU time that the process has used so far, user and system, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """The memory that the process occupies."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"process {self.pid} has ended")


@contextmanager
def nexxus_server() -> Iterator[ServerProcess]:
    """``nexxus serve`` with its defaults, an empty data directory and one application."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nexxus-bench-") as name:
        folder = Path(name)
        (folder / "nexxus.toml").write_text(CONFIGURATION)
        command = [
            *(sys.executable, "-m", "nexxus", "serve", "--data-dir", str(folder / "data")),
            *("--port", str(port), "--gateway-port", str(free_port())),
        ]
        with running_process(command, folder, port) as server:
            wait_until_ready(port)
            yield server


@contextmanager
def bare_server(kind: str) -> Iterator[ServerProcess]:
    """One of the references of `bare_servers.py`: ``http`` or ``echo``."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="nexxus-bench-") as name,
        running_process(
            [sys.executable, str(REFERENCES), kind, str(port)], Path(name), port
        ) as server,
    ):
        if kind == "http":
            wait_until_ready(port)
        else:
            wait_until_listening(port)
        yield server


@contextmanager
def running_process(command: list[str], folder: Path, port: int) -> Iterator[ServerProcess]:
    """A program that runs meanwhile, in `folder`; its log is printed when something fails."""
    # An installed package has its bytecode: a checkout must be allowed to keep it, too.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NEXXUS_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield ServerProcess(process.pid, port)
    except BaseException:
        sys.stderr.write(log_path.read_text(errors="replace")[-4000:])
        raise
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(port: int) -> None:
    """Return when ``GET /readyz`` is answered with 200."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(POLL_PAUSE)
    raise TimeoutError(f"nothing was ready on port {port} within {START_TIMEOUT} s")


def wait_until_listening(port: int) -> None:
    """Return when the port accepts a connection."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(POLL_PAUSE)
        else:
            return
    raise TimeoutError(f"nothing listened on port {port} within {START_TIMEOUT} s")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def allow_many_files() -> None:
    """As many sockets as the system lets us and the servers that we start have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
