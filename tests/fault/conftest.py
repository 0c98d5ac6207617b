"""A server for the storms and the nonsense, in which no coverage is measured.

They say nothing of it that gentler tests do not, and half of their time would go into it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client import Admin
from server import Endpoint, serving


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A running server, as for other tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        servers = serving(tmp_path_factory)
        endpoint = next(servers)
    yield endpoint
    yield from servers


@pytest.fixture(scope="session")
def admin(endpoint: Endpoint) -> Iterator[Admin]:
    """Manages that server's applications."""
    admin = Admin(endpoint)
    yield admin
    admin.close()
