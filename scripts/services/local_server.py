"""A server as a local process: installed if necessary, started, stopped, killed."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

_STARTING = 120.0
_STOPPING = 30.0


class ServerFailed(Exception):
    """A server could not be installed or started; the message says why and what to do."""


class LocalServer(ABC):
    """One server on 127.0.0.1 that writes all its files in `directory`.

    Clients connect to `port`; other ports are derived from it in `command`. The same directory and
    port mean the same server: its data survives `stop` and `kill`, and a server that is already
    running is taken over.
    """

    name: ClassVar[str]

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.exit_code: int | None = None
        """The exit code of the process last ended here, if it was also started here."""
        self._process: subprocess.Popen[bytes] | None = None

    # Specific to each server

    @property
    def url(self) -> str:
        """The server's URL for the settings of its clients."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def install(self) -> None:
        """Install the server if necessary. Raises `ServerFailed`."""

    @abstractmethod
    def command(self) -> list[str]:
        """Write the configuration, and return the command that runs it in the foreground."""

    def environment(self) -> dict[str, str]:
        """Return additional environment variables for the command."""
        return {}

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether clients are served. Polled during the start; never raises."""

    # Common to all servers

    @property
    def log_path(self) -> Path:
        """The file with the server's output."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int | None:
        """The id of the server's session leader, or None if it is not running."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        try:
            pid, began = self._pid_path.read_text().split()
            is_ours = _began(int(pid)) == began  # the id may have been reused
        except (OSError, ValueError):
            return None
        return int(pid) if is_ours else None

    def start(self) -> None:
        """Install and run it, and return when clients are served. Does nothing if it is running."""
        self.install()
        self.launch()
        self._wait_until_ready()

    def launch(self) -> None:
        """Run it without waiting for it. Does nothing if it is running."""
        if self.pid is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._run()

    def stop(self) -> None:
        """End it with SIGTERM, or with SIGKILL if it does not react; its data is kept."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, like a power cut; its data is kept."""
        self._end(signal.SIGKILL)

    def last_words(self) -> str:
        """Return the end of its output."""
        if not self.log_path.exists():
            return "(it printed nothing)"
        return self.log_path.read_text(errors="replace")[-4000:]

    def _run(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_path.write_text(f"{self._process.pid} {_began(self._process.pid)}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _STARTING
        while not self.is_ready():
            if self.pid is None:
                raise ServerFailed(f"{self.name} ended while it started:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{self.name} was not ready after {_STARTING:.0f} s:\n{self.last_words()}"
                )
            time.sleep(0.05)

    def _end(self, with_signal: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            _signal_group(pid, with_signal)
            deadline = time.monotonic() + _STOPPING
            while _group_lives(pid):
                if self._process is not None:
                    self._process.poll()  # otherwise it remains a zombie, and so does its group
                if time.monotonic() > deadline:
                    _signal_group(pid, signal.SIGKILL)
                time.sleep(0.02)
        self.exit_code = None if self._process is None else self._process.wait()
        self._process = None
        self._pid_path.unlink(missing_ok=True)

    @property
    def _pid_path(self) -> Path:
        return self.directory / "server.pid"


def apt_install(command: str, *packages: str) -> None:
    """Install Debian packages, unless `command` already exists.

    Raises `ServerFailed` with manual instructions if that is not possible.
    """
    if shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/lib/rabbitmq/bin"):
        return
    by_hand = f"{command} is not installed; install it, on Debian and Ubuntu with: apt-get install "
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServerFailed(by_hand + " ".join(packages))
    with locked(Path(tempfile.gettempdir()) / "nexxus-apt.lock"):
        _apt_install(by_hand, *packages)


def _apt_install(by_hand: str, *packages: str) -> None:
    quietly = ("-qq", "-o", "DPkg::Lock::Timeout=120")
    for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *quietly, *step],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"{by_hand}{' '.join(packages)}\n{done.stdout}{done.stderr}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, which is used only for this, during the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_ports(count: int, among: range | None = None) -> Sequence[int]:
    """Return `count` different free ports of 127.0.0.1.

    By default the system chooses them. A server that will be restarted on its port needs one that
    the system does not assign to connections meanwhile: on Linux, one below 32768.
    """
    candidates = [0] * count if among is None else random.sample(among, len(among))
    probes: list[socket.socket] = []
    try:
        for port in candidates:
            probe = socket.socket()
            probes.append(probe)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probes.pop().close()
            if len(probes) == count:
                return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
    raise ServerFailed(f"there are no {count} free ports")


def _began(pid: int) -> str:
    """Return when a running process began, in ticks since the machine's start.

    Raises `OSError` if there is no such process, `ValueError` if it has ended.
    """
    # The second field, the command in parentheses, may itself contain spaces and parentheses.
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state == "Z":
        raise ValueError("the process has ended")
    return fields[18]


def _signal_group(pid: int, with_signal: signal.Signals) -> None:
    try:
        os.killpg(pid, with_signal)
    except ProcessLookupError:
        return


def _group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True
