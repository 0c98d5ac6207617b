"""A user name and a password, judged by the accounts that are given in."""

from __future__ import annotations

import pytest

from nexxus.adapters.local.auth_strategy import LocalCredentials, LocalStrategy
from nexxus.adapters.local.settings import LocalSettings
from nexxus.errors import UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, OwnAccounts, Subject

ANN = Subject("here", "1")


class OnlyAnn(OwnAccounts):
    async def with_password(self, username: str, password: str) -> Subject | None:
        return ANN if (username, password) == ("ann", "correct horse") else None


async def verify(username: str, password: str) -> Account:
    credentials = LocalCredentials(username, password)
    return await LocalStrategy().verify(LocalSettings(), credentials, accounts=OnlyAnn())


async def test_the_right_password_is_the_accounts_and_proves_no_address() -> None:
    assert await verify("ann", "correct horse") == Account(ANN)


@pytest.mark.parametrize("given", [("ann", "wrong"), ("beth", "correct horse"), ("", "")])
async def test_anything_else_is_refused_in_the_same_words(given: tuple[str, str]) -> None:
    with pytest.raises(UserAuthenticationFailed, match=r"^the user name or the password is wrong$"):
        await verify(*given)


def test_failures_count_for_the_user_name() -> None:
    assert LocalStrategy().name_of(LocalCredentials("ann", "x")) == "ann"
