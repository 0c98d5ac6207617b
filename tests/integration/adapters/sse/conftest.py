"""A whole server whose devices follow server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sse_site import ADMIN_KEY, APPLICATION, Site, Start

from nexxus.config import Config
from nexxus.server import Nexxus
from nexxus.testing.transport_port import Server, serving


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def started(
        *, server: Server = "ours", application: Any = APPLICATION, **sections: Any
    ) -> AsyncIterator[Site]:
        settings = {
            "server": {"data_dir": str(tmp_path)},
            "admin": {"key": ADMIN_KEY},
            "logger": {"level": "critical"},
            "applications": [application],
            **sections,
        }
        async with (
            Nexxus(Config.from_mapping(settings)) as nexxus,
            serving(nexxus.app, server=server) as port,
        ):
            site = Site(nexxus, port)
            yield site
            await nexxus.drain()
            for source in site.sources:
                await source.close()
            await site.http.aclose()

    return started


@pytest.fixture
async def site(start: Start) -> AsyncIterator[Site]:
    async with start() as site:
        yield site
