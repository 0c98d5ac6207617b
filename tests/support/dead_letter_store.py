"""Dead letters in memory, for tests that have no database."""

from __future__ import annotations

from typing import Any

from nexxus.errors import ServiceUnavailable


class DeadLetterStore:
    """Remembers what was buried, as (group, key, reason); away for the first `failures` times.

    `attempts` has how often each was tried.
    """

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.buried: list[tuple[str, str, str]] = []
        self.attempts: list[int] = []

    async def bury(self, group: Any, message: Any, reason: str, *, attempts: int) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("the database is away")
        self.buried.append((group.name, message.key, reason))
        self.attempts.append(attempts)

    async def bury_undecodable(self, group: Any, undecodable: Any) -> None:
        attempts = undecodable.attempts + 1
        await self.bury(group, undecodable, undecodable.reason, attempts=attempts)

    async def settled(self, group: Any, messages: Any) -> None:
        """Nothing is ever replayed here."""
