"""Fates: what became of each queued operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nexxus.domain.operations import Fate


class FateStore(ABC):
    """Fates are kept for 24 hours after they were last stored."""

    @abstractmethod
    async def put(self, fates: Sequence[Fate]) -> None:
        """Store fates. A ``queued`` one never replaces another state."""

    @abstractmethod
    async def get(self, app_id: str, operation_id: str) -> Fate | None:
        """Return the fate of an operation, or None if it is unknown."""
