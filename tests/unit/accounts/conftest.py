"""The accounts of one node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from accounts_world import AccountsWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AccountsWorld]:
    world = AccountsWorld(tmp_path)
    await world.open()
    yield world
    await world.close()
