"""A server in which no coverage is measured, for tests that keep it busy for long.

To be imported where it takes the place of the run's own server. Such tests say nothing of the
coverage that gentler ones do not, and half of their time would go into it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client import Admin
from server import Endpoint, serving
from tracing import UNMEASURED


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A running server, as for other tests."""
    yield from serving(tmp_path_factory, **UNMEASURED)


@pytest.fixture(scope="module")
def admin(endpoint: Endpoint) -> Iterator[Admin]:
    """Manages that server's applications."""
    admin = Admin(endpoint)
    yield admin
    admin.close()
