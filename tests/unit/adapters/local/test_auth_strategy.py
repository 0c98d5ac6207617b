"""Sign-in with a user name and a password, verified against given accounts."""

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


async def test_the_right_password_identifies_the_account_but_proves_no_address() -> None:
    assert await verify("ann", "correct horse") == Account(ANN)


@pytest.mark.parametrize("given", [("ann", "wrong"), ("beth", "correct horse"), ("", "")])
async def test_every_other_case_is_refused_with_the_same_message(given: tuple[str, str]) -> None:
    with pytest.raises(UserAuthenticationFailed, match=r"^the user name or the password is wrong$"):
        await verify(*given)


def test_failures_are_counted_per_user_name() -> None:
    assert LocalStrategy().name_of(LocalCredentials("ann", "x")) == "ann"
