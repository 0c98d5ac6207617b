"""One PostgreSQL for the whole run, started when a test first needs it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port
from running import running
from services.postgres import PostgresServer

__all__ = ["postgres_server"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server; every test that uses it takes an application of its own."""
    # Not pytest's own folder: another user than root could not enter it.
    with tempfile.TemporaryDirectory(prefix="nexxus-postgres-") as name:
        Path(name).chmod(0o755)
        with running(PostgresServer(Path(name), free_port(), durable=False)) as server:
            yield server
