"""The counting of failed sign-ins."""

from __future__ import annotations

import pytest
from clock import Clock

from nexxus.accounts.sign_in_attempts import SignInAttempts
from nexxus.adapters.in_process.registry.counters import InProcessCounters
from nexxus.errors import TooManyRequests, UserAuthenticationFailed

LONG = "x" * 1_000_000


class KeptKeys(InProcessCounters):
    """Counters that record their keys."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, lambda: None)
        self.keys: set[str] = set()

    async def hit(self, app_id: str, scope: str, key: str, window: int, *, add: int = 1) -> int:
        self.keys.add(key)
        return await super().hit(app_id, scope, key, window, add=add)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counters(clock: Clock) -> KeptKeys:
    return KeptKeys(clock)


async def fail(attempts: SignInAttempts, username: str) -> None:
    with pytest.raises(UserAuthenticationFailed):
        async with attempts.one("app", username):
            raise UserAuthenticationFailed("the password is wrong")


@pytest.mark.parametrize("username", ["ann", LONG])
async def test_failures_count_only_for_their_account(counters: KeptKeys, username: str) -> None:
    attempts = SignInAttempts(counters, at_most=2)
    await fail(attempts, username)
    await fail(attempts, username)

    with pytest.raises(TooManyRequests):
        async with attempts.one("app", username):
            pass
    async with attempts.one("app", f"{username}.") as entered:
        assert entered is None
    async with attempts.one("another app", username) as entered:
        assert entered is None


async def test_another_attempt_is_allowed_a_minute_later(counters: KeptKeys, clock: Clock) -> None:
    attempts = SignInAttempts(counters, at_most=1)
    await fail(attempts, "ann")
    clock.advance(60)

    async with attempts.one("app", "ann") as entered:
        assert entered is None


async def test_a_long_user_name_takes_no_more_room_in_the_registry(
    counters: KeptKeys,
) -> None:
    await fail(SignInAttempts(counters, at_most=2), LONG)

    assert max(map(len, counters.keys)) <= 64
