"""A gateway with the real in-process broker and registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop
from gateway_world import World

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.gateway import GatewaySettings
from nexxus.testing.journal import Journal


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[Any, Any]]:
    broker = InProcessBroker(InProcessBrokerSettings())
    registry = InProcessRegistry(InProcessRegistrySettings(), data_dir=tmp_path, logger=Journal())
    await broker.open()
    await registry.open()
    yield broker, registry
    await registry.close()
    await broker.close()


@pytest.fixture
async def new_world(stores: tuple[Any, Any]) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def make(node: str = "n1", **settings: Any) -> World:
            world = World(node, GatewaySettings(**settings), *stores)
            return await stack.enter_async_context(world.serving())

        yield make


@pytest.fixture
async def world(new_world: Callable[..., Any]) -> World:
    return await new_world()  # type: ignore[no-any-return]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    """On the loop that `nexxus serve` runs on: its transports are not asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}
