"""PostgreSQL: a single server with a superuser as its only user."""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
from pathlib import Path
from typing import ClassVar, Final

from services.local_server import LocalServer, ServerFailed, apt_install

_USER: Final = "postgres"
_NO_CLUSTER: Final = Path("/etc/postgresql-common/createcluster.conf")


class PostgresServer(LocalServer):
    """One PostgreSQL, with the database ``postgres``.

    As PostgreSQL refuses to run as root, it then runs as the system's user ``postgres``, who must
    be able to traverse every folder above `directory`. If `durable`, it writes to disk before it
    confirms anything; otherwise it is faster but may lose everything when it is killed.
    """

    name: ClassVar[str] = "PostgreSQL"

    def __init__(self, directory: Path, port: int, *, durable: bool = True) -> None:
        super().__init__(directory, port)
        self._durable = durable

    @property
    def url(self) -> str:
        """The URL for clients, with the user's name and password."""
        password = self._password_path.read_text() if self._password_path.exists() else ""
        return f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/postgres"

    def install(self) -> None:
        """Use the installed server, or install Debian's packages."""
        if _programs() is not None:
            return
        if os.geteuid() == 0 and not _NO_CLUSTER.exists():
            # Debian's package would otherwise start its own server.
            _NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
            _NO_CLUSTER.write_text("create_main_cluster = false\n")
        apt_install(_USER, "postgresql")

    def command(self) -> list[str]:
        """Return the command; creates the server's files first if there are none."""
        if not (self._data_path / "PG_VERSION").exists():
            self._initialise()
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        if not self._durable:
            options |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        arguments = [part for name in options for part in ("-c", f"{name}={options[name]}")]
        return _as_user([self._program("postgres"), "-D", str(self._data_path), *arguments])

    def is_ready(self) -> bool:
        """Return whether it accepts connections."""
        program = self._program("pg_isready")
        asked = [program, "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "2"]
        return subprocess.run(asked, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _initialise(self) -> None:
        directory = self.directory.resolve()
        self._password_path.touch(mode=0o600)
        self._password_path.write_text(secrets.token_hex(16))
        self._data_path.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            for path in (self._password_path, self._data_path):
                os.chown(path, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            _as_user(
                [
                    self._program("initdb"),
                    f"--pgdata={self._data_path}",
                    f"--username={_USER}",
                    f"--pwfile={self._password_path}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ]
            ),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"PostgreSQL could not be initialised:\n{done.stdout}{done.stderr}")

    def _program(self, name: str) -> str:
        programs = _programs()
        if programs is None:
            raise ServerFailed("PostgreSQL is not installed; on Debian: apt-get install postgresql")
        return str(programs / name)

    @property
    def _data_path(self) -> Path:
        return self.directory.resolve() / "data"

    @property
    def _password_path(self) -> Path:
        return self.directory.resolve() / "password"


def _programs() -> Path | None:
    """Return the folder of the newest version's programs; Debian does not put it on the path."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    versions = sorted(found, key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def _as_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", *command]
