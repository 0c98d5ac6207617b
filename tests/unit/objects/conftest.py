"""One node's objects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from objects_world import ObjectsWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ObjectsWorld]:
    world = ObjectsWorld(tmp_path)
    await world.open()
    yield world
    await world.close()
