"""A server whose transport has one mount of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from mounts_site import (
    ADMIN_KEY,
    APPLICATION,
    SamplePlugin,
    Site,
    Start,
)

from nexxus.config import Config
from nexxus.interfaces.mounts import (
    HttpMount,
    WebSocketMount,
)
from nexxus.server import Nexxus
from nexxus.testing.transport_port import serving


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def started(
        *more: HttpMount | WebSocketMount,
        server: Literal["ours", "asgi"] = "ours",
        gateway: bool = False,
        **sections: Any,
    ) -> AsyncIterator[Site]:
        plugin = SamplePlugin()
        plugin.transport.more = list(more)
        settings = {
            "server": {"data_dir": str(tmp_path)},
            "admin": {"key": ADMIN_KEY},
            "logger": {"level": "critical"},
            "gateway": {"transports": ["sample"]},
            "applications": [APPLICATION],
            **sections,
        }
        async with Nexxus(Config.from_mapping(settings, plugins=[plugin])) as nexxus:
            app = nexxus.gateway_app if gateway else nexxus.app
            async with serving(app, server=server) as port:
                site = Site(nexxus, plugin.transport, port)
                yield site
                await site.http.aclose()

    return started


@pytest.fixture(params=["ours", "asgi"])
async def site(start: Start, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """On our own server, and on one that only knows ASGI."""
    async with start(server=request.param) as site:
        yield site
