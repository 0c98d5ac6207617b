"""A node looks after what is its own in the registry."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gateway_world import Journal
from waiting import eventually

from nexxus import membership
from nexxus.adapters.in_process.registry import InProcessRegistry, InProcessRegistrySettings
from nexxus.interfaces.registry import Node
from nexxus.membership import Membership


async def test_when_another_node_goes_everything_is_put_back_until_that_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "_EVERY", 0.01)
    registry = InProcessRegistry(InProcessRegistrySettings(), data_dir=tmp_path)
    await registry.open()
    restored = 0

    async def restore() -> None:
        nonlocal restored
        restored += 1
        if restored == 1:
            raise membership.ServiceUnavailable("the registry is away")

    looked = 0

    async def look() -> None:
        nonlocal looked
        looked += 1

    applications: Any = SimpleNamespace(look_for_changes=look, refresh=look)
    member = Membership(
        Node("n1", ("gateway",)),
        registry=registry,
        applications=applications,
        restore=restore,
        logger=Journal(),
    )
    await member.join()
    await registry.announce(Node("n2", ("gateway",)), 60)
    running = asyncio.create_task(member.run())
    await eventually(lambda: looked)
    assert restored == 0

    await registry.retire("n2")

    await eventually(lambda: restored == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await registry.close()
