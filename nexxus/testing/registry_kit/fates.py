"""What became of operations."""

from __future__ import annotations

import asyncio

from nexxus.domain.operations import Fate, OperationError
from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import (
    AnyRegistry,
    applied,
)


class FatesConformance(AnyRegistry):
    """What became of operations."""

    async def test_a_fate_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        error = OperationError("VersionConflictException", "expected 3 ✓", {"field": "ifVersion"})
        rejected = Fate(app, "o2", "rejected", "device:d1", None, error)
        await registry.fates.put([applied(app, "o1", 7), rejected])
        assert await registry.fates.get(app, "o1") == applied(app, "o1", 7)
        assert await registry.fates.get(app, "o2") == rejected
        assert await registry.fates.get(app, "o3") is None

    async def test_putting_no_fates_is_fine(self, registry: Registry) -> None:
        await registry.fates.put([])

    async def test_a_queued_fate_is_replaced_and_never_replaces(
        self, registry: Registry, app: str
    ) -> None:
        queued = Fate(app, "o1", "queued", "user:u1")
        await registry.fates.put([queued])
        assert await registry.fates.get(app, "o1") == queued
        await registry.fates.put([applied(app, "o1")])
        await registry.fates.put([queued])
        assert await registry.fates.get(app, "o1") == applied(app, "o1")
        await registry.fates.put([applied(app, "o2"), Fate(app, "o2", "queued", "user:u1")])
        assert await registry.fates.get(app, "o2") == applied(app, "o2")

    async def test_many_fates_are_put_at_once(self, registry: Registry, app: str) -> None:
        await asyncio.gather(
            *(
                registry.fates.put([applied(app, f"{batch}-{number}") for number in range(200)])
                for batch in range(10)
            )
        )
        for operation_id in ("0-0", "4-100", "9-199"):
            assert await registry.fates.get(app, operation_id) == applied(app, operation_id)
