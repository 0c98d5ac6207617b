"""Claims: values that the first caller stores and all others see."""

from __future__ import annotations

from abc import ABC, abstractmethod


class ClaimStore(ABC):
    """A claim is named by application, scope and key, and expires.

    Used for idempotency keys, single-use states and nonces.
    """

    @abstractmethod
    async def claim(
        self, app_id: str, scope: str, key: str, value: bytes, ttl: int
    ) -> bytes | None:
        """Store `value` for `ttl` seconds, unless the name is claimed already.

        Returns None if the name was free: the claim is then stored durably. Otherwise returns the
        value of the existing claim, whose expiry does not change. The check and the claim are
        one step.
        """

    @abstractmethod
    async def release(self, app_id: str, scope: str, key: str) -> None:
        """Remove a claim. An unknown one is ignored."""
