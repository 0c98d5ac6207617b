"""Claims: one caller wins."""

from __future__ import annotations

import asyncio

import pytest

from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import (
    AnyRegistry,
    eventually,
)


class ClaimsConformance(AnyRegistry):
    """The first to claim wins."""

    async def test_the_first_claim_wins_and_the_others_see_its_value(
        self, registry: Registry, app: str
    ) -> None:
        assert await registry.claims.claim(app, "idempotency", "k", b"\x00\xff one", 60) is None
        assert await registry.claims.claim(app, "idempotency", "k", b"two", 60) == b"\x00\xff one"

    async def test_of_a_hundred_concurrent_claims_one_wins(
        self, registry: Registry, app: str
    ) -> None:
        outcomes = await asyncio.gather(
            *(
                registry.claims.claim(app, "nonce", "k", f"{number}".encode(), 60)
                for number in range(100)
            )
        )
        assert outcomes.count(None) == 1
        winner = f"{outcomes.index(None)}".encode()
        assert {outcome for outcome in outcomes if outcome is not None} == {winner}

    async def test_claims_of_equal_values_still_have_one_winner(
        self, registry: Registry, app: str
    ) -> None:
        outcomes = await asyncio.gather(
            *(registry.claims.claim(app, "state", "k", b"1", 60) for _ in range(20))
        )
        assert sorted(outcomes, key=str) == sorted([None, *[b"1"] * 19], key=str)

    @pytest.mark.parametrize("key", ["", "a:b", "ключ ✓", "nul\x00one", "%", '"\\'])
    async def test_any_text_may_be_claimed(self, registry: Registry, app: str, key: str) -> None:
        assert await registry.claims.claim(app, "scope", key, b"", 60) is None
        assert await registry.claims.claim(app, "scope", key, b"late", 60) == b""
        assert await registry.claims.claim(app, "scope", key + "\x00", b"another", 60) is None

    async def test_scopes_and_keys_are_told_apart(self, registry: Registry, app: str) -> None:
        for scope, key in (("a", "b:c"), ("a:b", "c"), ("a", "b"), ("b", "a")):
            assert await registry.claims.claim(app, scope, key, b"1", 60) is None

    async def test_a_released_claim_is_free_again(self, registry: Registry, app: str) -> None:
        await registry.claims.claim(app, "scope", "k\x00", b"one", 60)
        await registry.claims.release(app, "scope", "k\x00")
        assert await registry.claims.claim(app, "scope", "k\x00", b"two", 60) is None
        await registry.claims.release(app, "scope", "unknown")

    async def test_a_claim_is_free_again_after_its_time(self, registry: Registry, app: str) -> None:
        assert await registry.claims.claim(app, "scope", "k", b"one", 1) is None

        async def is_free() -> bool:
            return await registry.claims.claim(app, "scope", "k", b"two", 60) is None

        await eventually(is_free)
        assert await registry.claims.claim(app, "scope", "k", b"three", 60) == b"two"
