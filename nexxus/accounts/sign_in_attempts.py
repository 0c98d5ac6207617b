"""Sign-in attempts: limits how many may fail, even if many are made concurrently."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from nexxus.errors import TooManyRequests, UserAuthenticationFailed
from nexxus.interfaces.registry import CounterStore

WINDOW: Final = 60
"""Seconds in which failures are counted together."""


class SignInAttempts:
    """Allows `at_most` failed attempts per account and minute.

    Attempts that would be too many if all those under way failed wait for them. So an attempt
    with the right password is never refused because of others at the same time.
    """

    def __init__(self, counters: CounterStore, at_most: int) -> None:
        self._counters = counters
        self._at_most = at_most
        self._under_way: dict[tuple[str, str], int] = {}
        self._one_is_over = asyncio.Condition()

    @asynccontextmanager
    async def one(self, app_id: str, name: str) -> AsyncIterator[None]:
        """Wrap an attempt for an account; it has failed if it raises `UserAuthenticationFailed`.

        Raises `TooManyRequests` when too many have failed.
        """
        # A name may be as long as a request, and people type passwords where names belong.
        account = (app_id, hashlib.sha256(name.encode()).hexdigest())
        await self._begin(account)
        try:
            yield
        except UserAuthenticationFailed:
            await self._count(account)
            raise
        finally:
            await self._end(account)

    async def _begin(self, account: tuple[str, str]) -> None:
        while True:
            failed = await self._count(account, add=0)
            if failed >= self._at_most:
                raise TooManyRequests(
                    "too many failed sign-ins for this account; try again in a minute",
                    retry_after=WINDOW,
                )
            if failed + self._under_way.get(account, 0) < self._at_most:
                self._under_way[account] = self._under_way.get(account, 0) + 1
                return
            async with self._one_is_over:
                if failed + self._under_way.get(account, 0) >= self._at_most:
                    await self._one_is_over.wait()

    async def _count(self, account: tuple[str, str], *, add: int = 1) -> int:
        app_id, name = account
        return await self._counters.hit(app_id, "sign-in", name, WINDOW, add=add)

    async def _end(self, account: tuple[str, str]) -> None:
        others = self._under_way.pop(account) - 1
        if others:
            self._under_way[account] = others
        async with self._one_is_over:
            self._one_is_over.notify_all()
