"""What must be known once: claims, counters, fates."""

from __future__ import annotations

import asyncio

import pytest

from nexxus.domain.operations import Fate, OperationError
from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import (
    AnyRegistry,
    applied,
    eventually,
)


class ClaimsConformance(AnyRegistry):
    """The first to claim wins."""

    async def test_the_first_claim_wins_and_the_others_see_its_value(
        self, registry: Registry, app: str
    ) -> None:
        assert await registry.claim(app, "idempotency", "k", b"\x00\xff one", 60) is None
        assert await registry.claim(app, "idempotency", "k", b"two", 60) == b"\x00\xff one"

    async def test_of_a_hundred_concurrent_claims_one_wins(
        self, registry: Registry, app: str
    ) -> None:
        outcomes = await asyncio.gather(
            *(registry.claim(app, "nonce", "k", f"{number}".encode(), 60) for number in range(100))
        )
        assert outcomes.count(None) == 1
        winner = f"{outcomes.index(None)}".encode()
        assert {outcome for outcome in outcomes if outcome is not None} == {winner}

    async def test_claims_of_equal_values_still_have_one_winner(
        self, registry: Registry, app: str
    ) -> None:
        outcomes = await asyncio.gather(
            *(registry.claim(app, "state", "k", b"1", 60) for _ in range(20))
        )
        assert sorted(outcomes, key=str) == sorted([None, *[b"1"] * 19], key=str)

    @pytest.mark.parametrize("key", ["", "a:b", "ключ ✓", "nul\x00one", "%", '"\\'])
    async def test_any_text_may_be_claimed(self, registry: Registry, app: str, key: str) -> None:
        assert await registry.claim(app, "scope", key, b"", 60) is None
        assert await registry.claim(app, "scope", key, b"late", 60) == b""
        assert await registry.claim(app, "scope", key + "\x00", b"another", 60) is None

    async def test_scopes_and_keys_are_told_apart(self, registry: Registry, app: str) -> None:
        for scope, key in (("a", "b:c"), ("a:b", "c"), ("a", "b"), ("b", "a")):
            assert await registry.claim(app, scope, key, b"1", 60) is None

    async def test_a_released_claim_is_free_again(self, registry: Registry, app: str) -> None:
        await registry.claim(app, "scope", "k\x00", b"one", 60)
        await registry.release(app, "scope", "k\x00")
        assert await registry.claim(app, "scope", "k\x00", b"two", 60) is None
        await registry.release(app, "scope", "unknown")

    async def test_a_claim_is_free_again_after_its_time(self, registry: Registry, app: str) -> None:
        assert await registry.claim(app, "scope", "k", b"one", 1) is None

        async def is_free() -> bool:
            return await registry.claim(app, "scope", "k", b"two", 60) is None

        await eventually(is_free)
        assert await registry.claim(app, "scope", "k", b"three", 60) == b"two"


class CountersConformance(AnyRegistry):
    """Counters count in windows."""

    async def test_hits_are_counted_per_scope_and_key(self, registry: Registry, app: str) -> None:
        assert [await registry.hit(app, "sign-in", "ana", 60) for _ in range(3)] == [1, 2, 3]
        assert await registry.hit(app, "sign-in", "ana", 60, add=5) == 8
        assert await registry.hit(app, "sign-in", "bo", 60) == 1
        assert await registry.hit(app, "requests", "ana", 60) == 1

    async def test_a_hit_of_nothing_reads_the_counter(self, registry: Registry, app: str) -> None:
        assert await registry.hit(app, "sign-in", "ana", 60, add=0) == 0
        await registry.hit(app, "sign-in", "ana", 60)
        assert await registry.hit(app, "sign-in", "ana", 60, add=0) == 1

    async def test_concurrent_hits_all_count(self, registry: Registry, app: str) -> None:
        values = await asyncio.gather(*(registry.hit(app, "s", "k", 60) for _ in range(50)))
        assert sorted(values) == list(range(1, 51))

    async def test_a_counter_starts_anew_after_its_window(
        self, registry: Registry, app: str
    ) -> None:
        await registry.hit(app, "s", "k", 1, add=1000)

        async def is_anew() -> bool:
            return await registry.hit(app, "s", "k", 1) < 1000

        await eventually(is_anew)


class FatesConformance(AnyRegistry):
    """What became of operations."""

    async def test_a_fate_is_found_as_it_was_put(self, registry: Registry, app: str) -> None:
        error = OperationError("VersionConflictException", "expected 3 ✓", {"field": "ifVersion"})
        rejected = Fate(app, "o2", "rejected", "device:d1", None, error)
        await registry.put_fates([applied(app, "o1", 7), rejected])
        assert await registry.get_fate(app, "o1") == applied(app, "o1", 7)
        assert await registry.get_fate(app, "o2") == rejected
        assert await registry.get_fate(app, "o3") is None

    async def test_putting_no_fates_is_fine(self, registry: Registry) -> None:
        await registry.put_fates([])

    async def test_a_queued_fate_is_replaced_and_never_replaces(
        self, registry: Registry, app: str
    ) -> None:
        queued = Fate(app, "o1", "queued", "user:u1")
        await registry.put_fates([queued])
        assert await registry.get_fate(app, "o1") == queued
        await registry.put_fates([applied(app, "o1")])
        await registry.put_fates([queued])
        assert await registry.get_fate(app, "o1") == applied(app, "o1")
        await registry.put_fates([applied(app, "o2"), Fate(app, "o2", "queued", "user:u1")])
        assert await registry.get_fate(app, "o2") == applied(app, "o2")

    async def test_many_fates_are_put_at_once(self, registry: Registry, app: str) -> None:
        await asyncio.gather(
            *(
                registry.put_fates([applied(app, f"{batch}-{number}") for number in range(200)])
                for batch in range(10)
            )
        )
        for operation_id in ("0-0", "4-100", "9-199"):
            assert await registry.get_fate(app, operation_id) == applied(app, operation_id)
