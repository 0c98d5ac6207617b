"""A whole server with a push service, and devices that are connected or away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from push_world import World, serving


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path) as world:
        yield world
