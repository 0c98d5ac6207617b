"""Counters of fixed windows."""

from __future__ import annotations

import asyncio

from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import (
    AnyRegistry,
    eventually,
)


class CountersConformance(AnyRegistry):
    """Counters count in windows."""

    async def test_hits_are_counted_per_scope_and_key(self, registry: Registry, app: str) -> None:
        assert [await registry.counters.hit(app, "sign-in", "ana", 60) for _ in range(3)] == [
            1,
            2,
            3,
        ]
        assert await registry.counters.hit(app, "sign-in", "ana", 60, add=5) == 8
        assert await registry.counters.hit(app, "sign-in", "bo", 60) == 1
        assert await registry.counters.hit(app, "requests", "ana", 60) == 1

    async def test_a_hit_of_nothing_reads_the_counter(self, registry: Registry, app: str) -> None:
        assert await registry.counters.hit(app, "sign-in", "ana", 60, add=0) == 0
        await registry.counters.hit(app, "sign-in", "ana", 60)
        assert await registry.counters.hit(app, "sign-in", "ana", 60, add=0) == 1

    async def test_concurrent_hits_all_count(self, registry: Registry, app: str) -> None:
        values = await asyncio.gather(
            *(registry.counters.hit(app, "s", "k", 60) for _ in range(50))
        )
        assert sorted(values) == list(range(1, 51))

    async def test_a_counter_starts_again_after_its_window(
        self, registry: Registry, app: str
    ) -> None:
        await registry.counters.hit(app, "s", "k", 1, add=1000)

        async def has_started_again() -> bool:
            return await registry.counters.hit(app, "s", "k", 1) < 1000

        await eventually(has_started_again)
