"""Signing in with credentials: a strategy judges the body of ``POST /auth/<name>``."""

from __future__ import annotations

from typing import Any, Final

from nexxus.accounts.passwords import MAX_LENGTH, Passwords
from nexxus.accounts.provider_accounts import ProviderAccounts
from nexxus.accounts.sign_in import NewSession, SignIn, read_hint
from nexxus.accounts.sign_in_attempts import SignInAttempts
from nexxus.accounts.strategies import CredentialsEntry
from nexxus.accounts.user_records import User, UserRecords
from nexxus.accounts.usernames import normalise
from nexxus.domain.application import Application
from nexxus.domain.decoding import convert
from nexxus.interfaces.auth_strategy import OwnAccounts, Subject

_OWN: Final = "urn:nexxus:users"
"""The issuer of the accounts that Nexxus keeps itself."""


class CredentialsSignIn:
    """Signs users in with what a strategy accepts as their credentials."""

    def __init__(
        self,
        *,
        records: UserRecords,
        passwords: Passwords,
        attempts: SignInAttempts,
        accounts: ProviderAccounts,
        sign_in: SignIn,
    ) -> None:
        self._records = records
        self._passwords = passwords
        self._attempts = attempts
        self._accounts = accounts
        self._sign_in = sign_in

    async def sign_in(
        self, application: Application, entry: CredentialsEntry, body: dict[str, Any]
    ) -> NewSession:
        """Sign in with the credentials in a request's body.

        Raises `UserAuthenticationFailed` if they are wrong, and `TooManyRequests` after too many
        failures.
        """
        strategy = entry.strategy
        fields = dict(body)
        hint = read_hint(fields.pop("device", None))
        user_type = None
        if strategy.may_create and "userType" in fields:
            user_type = application.users().choose_user_type(fields.pop("userType"))
        credentials = convert(fields, strategy.credentials)
        own = _OwnAccounts(self._records, self._passwords, application)
        account_name = f"{entry.name}/{normalise(strategy.name_of(credentials))}"
        with self._sign_in.attempt():
            async with self._attempts.one(application.id, account_name):
                account = await strategy.verify(entry.settings, credentials, accounts=own)
                user = own.verified.get(account.subject)
                if user is None:
                    user = await self._accounts.user_of(application, entry.name, account, user_type)
            return await self._sign_in.begin(application, user, hint)


class _OwnAccounts(OwnAccounts):
    """The application's accounts, as one attempt to sign in sees them.

    `verified` keeps the users as they were when their password was right, so that a change
    meanwhile is noticed when their session begins.
    """

    def __init__(
        self, records: UserRecords, passwords: Passwords, application: Application
    ) -> None:
        self._records = records
        self._passwords = passwords
        self._app_id = application.id
        self.verified: dict[Subject, User] = {}

    async def with_password(self, username: str, password: str) -> Subject | None:
        """See `OwnAccounts`."""
        user = await self._records.find(self._app_id, username)
        usable = user is not None and not user.disabled and len(password) <= MAX_LENGTH
        known_hash = user.password_hash if user is not None and usable else None
        is_right = await self._passwords.verify(known_hash, password[:MAX_LENGTH])
        if not is_right or user is None:
            return None
        subject = Subject(_OWN, user.id)
        self.verified[subject] = user
        return subject
