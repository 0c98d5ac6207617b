"""The strategy ``local``: a user name and a password."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from nexxus.adapters.local.settings import LocalSettings
from nexxus.errors import UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, CredentialsStrategy, OwnAccounts


class LocalCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user name and a password."""

    username: str
    password: str


class LocalStrategy(CredentialsStrategy[LocalSettings, LocalCredentials]):
    """Signs in the users that have registered with a password."""

    settings: ClassVar[type[msgspec.Struct]] = LocalSettings
    credentials: ClassVar[type[msgspec.Struct]] = LocalCredentials
    may_create: ClassVar[bool] = False

    def name_of(self, credentials: LocalCredentials) -> str:
        """See `CredentialsStrategy`."""
        return credentials.username

    async def verify(
        self,
        settings: LocalSettings,  # noqa: ARG002 - it has none
        credentials: LocalCredentials,
        *,
        accounts: OwnAccounts,
    ) -> Account:
        """See `CredentialsStrategy`."""
        subject = await accounts.with_password(credentials.username, credentials.password)
        if subject is None:
            raise UserAuthenticationFailed("the user name or the password is wrong")
        return Account(subject)
