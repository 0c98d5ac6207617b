"""Passwords: argon2id, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from nexxus.errors import InvalidParameters

T = TypeVar("T")

MAX_LENGTH: Final = 1024
"""Characters of a password: hashing a megabyte would take too long."""

PASSWORD_PROVIDER: Final = "local"
"""The entry of ``auth.strategies``, and of ``authProviders``, that stands for a password."""


class Passwords:
    """Hashes and verifies passwords in threads of its own. `memory_cost` is in KiB."""

    def __init__(self, *, time_cost: int, memory_cost: int, parallelism: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_cost, parallelism=parallelism, type=Type.ID
        )
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="nexxus-passwords")
        self._stand_in: str | None = None

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a password."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password is the hash's.

        With None the answer is False, after the same work: how long a sign-in takes does not show
        whether the account exists.
        """
        if password_hash is None:
            if self._stand_in is None:
                self._stand_in = await self.hash("a password that nobody has")
            await self._run(self._verify, self._stand_in, password)
            return False
        return await self._run(self._verify, password_hash, password)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., T], *arguments: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def check_password(value: Any) -> str:
    """Return `value` if it can be a password, else raise `InvalidParameters`."""
    if isinstance(value, str) and 0 < len(value) <= MAX_LENGTH:
        return value
    raise InvalidParameters(
        f"password: expected a string of 1 to {MAX_LENGTH} characters", {"field": "password"}
    )
