"""What is remembered of sign-ins that failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexxus.accounts.sign_in_attempts import SignInAttempts
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.errors import TooManyRequests, UserAuthenticationFailed

LONG = "x" * 1_000_000


class KeptKeys(InProcessRegistry):
    """A registry that tells by which keys it counts."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(InProcessRegistrySettings(), data_dir=data_dir)
        self.keys: set[str] = set()

    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        self.keys.add(key)
        return await super().hit(app_id, scope, key, window, add=add)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[KeptKeys]:
    registry = KeptKeys(tmp_path)
    await registry.open()
    yield registry
    await registry.close()


async def fail(attempts: SignInAttempts, username: str) -> None:
    with pytest.raises(UserAuthenticationFailed):
        async with attempts.one("app", username):
            raise UserAuthenticationFailed("the password is wrong")


@pytest.mark.parametrize("username", ["ann", LONG])
async def test_failures_count_for_their_account_alone(registry: KeptKeys, username: str) -> None:
    attempts = SignInAttempts(registry, at_most=2)
    await fail(attempts, username)
    await fail(attempts, username)

    with pytest.raises(TooManyRequests):
        async with attempts.one("app", username):
            pass
    async with attempts.one("app", f"{username}.") as entered:
        assert entered is None
    async with attempts.one("another app", username) as entered:
        assert entered is None


async def test_a_user_name_takes_no_room_in_the_registry_however_long_it_is(
    registry: KeptKeys,
) -> None:
    await fail(SignInAttempts(registry, at_most=2), LONG)

    assert max(map(len, registry.keys)) <= 64
