"""Dead letters in memory, for tests that have no database."""

from __future__ import annotations

from typing import Any

from nexxus.errors import ServiceUnavailable


class DeadLetterStore:
    """Remembers what was buried, as (group, key, reason); away for the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.buried: list[tuple[str, str, str]] = []

    async def bury(self, group: Any, message: Any, reason: str) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("the database is away")
        self.buried.append((group.name, message.key, reason))

    async def bury_undecodable(self, group: Any, undecodable: Any) -> None:
        await self.bury(group, undecodable, undecodable.reason)

    async def settled(self, group: Any, messages: Any) -> None:
        """Nothing is ever replayed here."""
