"""A server as a process of this machine: installed where needed, started, stopped, killed."""

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
    """One server on 127.0.0.1, with everything that it writes in `directory`.

    `port` is where its clients connect; whatever else it listens on is derived from it in
    `command`. The same directory and port given again mean the same server: its data is still
    there after `stop` and after `kill`, and a server that runs already is taken over.
    """

    name: ClassVar[str]

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.exit_code: int | None = None
        """How the process ended that was last ended here, if it was started here, too."""
        self._process: subprocess.Popen[bytes] | None = None

    # What each server says of itself

    @property
    def url(self) -> str:
        """Where its clients find it, as it stands in their settings."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def install(self) -> None:
        """Install the server if it is not there; raises `ServerFailed` where that cannot be."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground; writes its configuration first."""

    def environment(self) -> dict[str, str]:
        """What the command finds in its environment besides ours."""
        return {}

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether clients are served. Asked again and again while it starts; never raises."""

    # What can be done with any of them

    @property
    def log_path(self) -> Path:
        """Where everything stands that it has printed."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int | None:
        """The process that leads the server's own session, None when it does not run."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        try:
            pid, began = self._pid_path.read_text().split()
            is_ours = _began(int(pid)) == began  # the number may be another process's by now
        except (OSError, ValueError):
            return None
        return int(pid) if is_ours else None

    def start(self) -> None:
        """Install and run it; returns when clients are served. Nothing if it runs already."""
        self.install()
        self.launch()
        self._wait_until_ready()

    def launch(self) -> None:
        """Run it, and do not wait for it. Nothing if it runs already."""
        if self.pid is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._run()

    def stop(self) -> None:
        """End it with SIGTERM, and with SIGKILL when that is not heard; its data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would; its data stays."""
        self._end(signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what it has printed."""
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
                    self._process.poll()  # or it stays as a zombie, and the group with it
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
    """Install Debian packages, unless `command` is there already.

    Raises `ServerFailed` where that is not possible, with what to do by hand.
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
    """Wait until no other process is within, where it says the same `path`: a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_ports(count: int, among: range | None = None) -> Sequence[int]:
    """So many different ports of 127.0.0.1 that nobody listens on.

    Without `among` any that the system has. A server that is to be started again on its port needs
    one that the system does not give to connections meanwhile: on Linux, one below 32768.
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
    """When a living process began, in ticks since the machine's start.

    Raises OSError where there is none, ValueError for one that has ended.
    """
    # The second field, the command in parentheses, may hold spaces and parentheses itself.
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
