"""Provider accounts: finds or creates the user of a person who signs in at a provider.

A user is known by issuer and ``sub``, whatever name or address either has later. The first time, a
subject is linked to the user whose name is the subject's proven address, or a user is made.

A user name proves nothing: anybody can register with another person's address. So linking takes
such an account away from the person who registered it: the password is removed and all sessions
end. The exception is an account whose address a provider has verified before.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from nexxus.accounts.passwords import PASSWORD_PROVIDER
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.user_records import User, UserRecords
from nexxus.accounts.usernames import MAX_USERNAME
from nexxus.domain.application import Application
from nexxus.domain.schema import Field
from nexxus.domain.values import coerce
from nexxus.errors import InvalidParameters, UserAlreadyExists, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, Subject


class ProviderAccounts:
    """Finds, links and makes the users that providers vouch for."""

    def __init__(self, records: UserRecords, sessions: Sessions) -> None:
        self._records = records
        self._sessions = sessions

    async def user_of(
        self, application: Application, provider: str, account: Account, user_type: str | None
    ) -> User:
        """Return the user of an account at `provider`, the name of a strategy's entry.

        A new user gets the `user_type`. Raises `UserAuthenticationFailed` for a disabled user,
        and `UserAlreadyExists` if the proven address is the name of somebody else's account.
        """
        user = await self._records.find_subject(application.id, account.subject)
        if user is None and account.address is not None:
            namesake = await self._records.find(application.id, account.address)
            # Names are compared more loosely than addresses: strasse@ and straße@ are two people.
            if namesake is not None and namesake.username.lower() == account.address.lower():
                return await self._link(namesake, provider, account.subject, account.address)
        if user is None:
            return await self._create(application, provider, account, user_type)
        _require_enabled(user)
        if provider in user.auth_providers:
            return user
        return await self._records.change(user, lambda latest: _named(latest, provider))

    async def _create(
        self, application: Application, provider: str, account: Account, user_type: str | None
    ) -> User:
        chosen = application.users().choose_user_type(user_type or "default")
        name = account.address or f"{provider}:{account.subject.sub}"
        return await self._records.create(
            application.id,
            username=name[:MAX_USERNAME],
            user_type=chosen,
            provider=provider,
            details=_fitting(account.details, application.details.get(chosen, {})),
            subject=account.subject,
            address=account.address,
        )

    async def _link(self, user: User, provider: str, subject: Subject, address: str) -> User:
        """Link a subject to the user of its proven address.

        Each step is stored before the next, and an account that is linked half-way is still one
        without a proven address: the next sign-in takes the same steps again.
        """
        _require_enabled(user)
        _require_free(user, subject, address)
        is_proven = user.is_proven(address)
        if not is_proven:
            user = await self._records.change(user, _without_password)
            await self._sessions.end_all_of(user.app_id, user.id)
        await self._records.claim_subject(user, subject)

        def link(latest: User) -> User:
            _require_free(latest, subject, address)
            # A session that was still live may have set a password before it ended.
            kept = latest if is_proven else _without_password(latest)
            return msgspec.structs.replace(
                _named(kept, provider),
                subjects={**latest.subjects, subject.issuer: subject.sub},
                address=address,
            )

        return await self._records.change(user, link)


def _require_enabled(user: User) -> None:
    if user.disabled:
        raise UserAuthenticationFailed("this account cannot be used; ask an administrator")


def _require_free(user: User, subject: Subject, address: str) -> None:
    """Raise `UserAlreadyExists` if a user belongs to another person than the subject."""
    known = user.subjects.get(subject.issuer, subject.sub)
    if known != subject.sub or (user.subjects and not user.is_proven(address)):
        raise UserAlreadyExists(
            f"the account {user.username!r} belongs to another person at a provider; sign in as "
            "that person, or have an administrator rename the account"
        )


def _without_password(user: User) -> User:
    others = [name for name in user.auth_providers if name != PASSWORD_PROVIDER]
    return msgspec.structs.replace(user, password_hash=None, auth_providers=others)


def _named(user: User, provider: str) -> User:
    if provider in user.auth_providers:
        return user
    return msgspec.structs.replace(user, auth_providers=[*user.auth_providers, provider])


def _fitting(details: Mapping[str, Any], declared: Mapping[str, Field]) -> dict[str, Any]:
    """Return those details of a provider that the application has a place for."""
    fitting = {}
    for name in details.keys() & declared.keys():
        with suppress(InvalidParameters):
            fitting[name] = coerce(details[name], declared[name], name)
    return fitting
