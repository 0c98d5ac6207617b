"""A real server for some tests, or for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from services.local_server import LocalServer, ServerFailed

S = TypeVar("S", bound=LocalServer)


@contextmanager
def running(server: S) -> Iterator[S]:
    """The server, started; killed at the end: nobody will want its data.

    Where it cannot be had, the tests that need it are skipped.
    """
    try:
        try:
            server.start()
        except ServerFailed as error:
            pytest.skip(f"there is no {server.name}: {error}")
        yield server
    finally:
        server.kill()
