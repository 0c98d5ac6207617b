"""The conformance kits for `nexxus.interfaces.auth_strategy`, one for each kind of strategy.

A strategy of credentials says what an application sets, and what a user sends::

    class TestDirectoryStrategy(CredentialsStrategyConformance):
        def create(self):
            return DirectoryStrategy(self.directory)

        def settings(self):
            return {"realm": "staff"}

        def right(self):
            return {"uid": "ann", "pin": "1234"}

        def wrong(self):
            return [{"uid": "ann", "pin": "4321"}, {"uid": "nobody", "pin": "1234"}]

A strategy of redirects plays the browser and the provider instead of `right` and `wrong`::

    class TestAcmeStrategy(RedirectStrategyConformance):
        async def sign_in(self, url):
            return await self.acme.consent(url)   # the query of the redirect to the callback

        async def decline(self, url):
            return await self.acme.decline(url)
"""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
import pytest

from nexxus.errors import ServiceUnavailable, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import (
    Account,
    AuthStrategy,
    Challenge,
    CredentialsStrategy,
    OwnAccounts,
    RedirectSettings,
    RedirectStrategy,
    Subject,
)

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

CALLBACK = "https://api.example/auth/kit/callback"
OWN_USER = ("own-user", "correct horse")
"""The user that Nexxus itself knows in these tests, for strategies that ask for it."""


class _Conformance(ABC):
    """What both kinds keep."""

    @abstractmethod
    def create(self) -> AuthStrategy[Any]:
        """Return a new strategy."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return what an application has under ``auth.strategies.<name>``, as JSON."""

    def unreachable(self) -> AuthStrategy[Any] | None:
        """Return a strategy that cannot reach what it asks; None if it asks nobody."""
        return None

    def _settings(self, strategy: AuthStrategy[Any]) -> Any:
        return msgspec.convert(dict(self.settings()), strategy.settings)

    def test_its_settings_are_checked_for_keys_that_it_does_not_know(self) -> None:
        strategy = self.create()
        assert strategy.settings.__struct_config__.frozen
        names = {field.encode_name for field in msgspec.structs.fields(strategy.settings)}
        assert "strategy" not in names
        self._settings(strategy)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**self.settings(), "not-a-setting": 1}, strategy.settings)

    async def test_closing_twice_is_fine(self) -> None:
        strategy = self.create()
        await strategy.close()
        await strategy.close()


class CredentialsStrategyConformance(_Conformance):
    """What every strategy of credentials keeps."""

    @abstractmethod
    def create(self) -> CredentialsStrategy[Any, Any]: ...

    @abstractmethod
    def right(self) -> Mapping[str, Any]:
        """Return the body of a request that signs somebody in.

        For a strategy that asks `OwnAccounts`, the user and password are `OWN_USER`.
        """

    @abstractmethod
    def wrong(self) -> Sequence[Mapping[str, Any]]:
        """Return bodies that are refused: the first is for the account of `right`; others may be
        for accounts that do not exist. No value may be a word that the refusal has anyway."""

    async def test_the_right_credentials_name_the_same_person_each_time(self) -> None:
        strategy = self.create()
        first, second = [await self.verify(strategy, self.right()) for _ in range(2)]
        check_account(first)
        assert first.subject == second.subject
        await strategy.close()

    async def test_whatever_is_wrong_is_refused_in_the_same_words(self) -> None:
        strategy = self.create()
        messages = set()
        for body in self.wrong():
            with pytest.raises(UserAuthenticationFailed) as refused:
                await self.verify(strategy, body)
            message = str(refused.value)
            messages.add(message)
            for name, value in body.items():
                assert str(value) not in message, f"the refusal repeats {name}, {value!r}"
        assert len(messages) == 1, f"the words show what was wrong: {sorted(messages)}"
        await strategy.close()

    async def test_attempts_for_one_account_are_counted_together(self) -> None:
        strategy = self.create()
        right, wrong = (
            strategy.name_of(msgspec.convert(dict(body), strategy.credentials))
            for body in (self.right(), self.wrong()[0])
        )
        assert right
        assert right == wrong
        await strategy.close()

    async def test_many_may_sign_in_at_once(self) -> None:
        strategy = self.create()
        async with asyncio.timeout(PATIENCE):
            accounts = await asyncio.gather(
                *(self.verify(strategy, self.right()) for _ in range(20))
            )
        assert len({account.subject for account in accounts}) == 1
        await strategy.close()

    async def test_without_an_answer_it_is_unavailable(self) -> None:
        strategy = self.unreachable()
        if strategy is None:
            pytest.skip("the strategy asks nobody")
        with pytest.raises(ServiceUnavailable):
            async with asyncio.timeout(PATIENCE):
                await self.verify(strategy, self.right())
        await strategy.close()

    def test_its_credentials_leave_room_for_what_nexxus_takes(self) -> None:
        strategy = self.create()
        names = {field.encode_name for field in msgspec.structs.fields(strategy.credentials)}
        assert not names & {"device", "userType"}
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**self.right(), "not-a-key": 1}, strategy.credentials)

    async def verify(self, strategy: AuthStrategy[Any], body: Mapping[str, Any]) -> Account:
        """Sign in with the body of a request; for tests of your own, too."""
        assert isinstance(strategy, CredentialsStrategy)
        credentials = msgspec.convert(dict(body), strategy.credentials)
        account: Account = await strategy.verify(
            self._settings(strategy), credentials, accounts=_OneUser()
        )
        return account


class RedirectStrategyConformance(_Conformance):
    """What every strategy of redirects keeps."""

    keeps_verifier: ClassVar[bool] = True
    """Whether the provider knows PKCE, so that a stolen code is of no use."""

    @abstractmethod
    def create(self) -> RedirectStrategy[Any]: ...

    @abstractmethod
    async def sign_in(self, url: str) -> Mapping[str, str]:
        """Follow `url` as a browser whose user agrees; return the query of the callback."""

    @abstractmethod
    async def decline(self, url: str) -> Mapping[str, str]:
        """Follow `url` as a browser whose user declines; return the query of the callback."""

    def test_its_settings_are_those_of_redirects(self) -> None:
        assert issubclass(self.create().settings, RedirectSettings)

    async def test_the_way_there_carries_the_state_and_no_secret(self) -> None:
        strategy, challenge = self.create(), new_challenge()
        url = await strategy.begin(self._settings(strategy), challenge=challenge)
        assert urlsplit(url).scheme in ("http", "https")
        assert challenge.verifier not in url
        parameters = await self.sign_in(url)
        assert parameters["state"] == challenge.state
        await strategy.close()

    async def test_whom_the_provider_vouches_for_is_the_same_person_each_time(self) -> None:
        strategy = self.create()
        first, second = [await self._complete(strategy) for _ in range(2)]
        check_account(first)
        assert first.subject == second.subject
        await strategy.close()

    async def test_the_answer_to_another_sign_in_is_refused(self) -> None:
        if not self.keeps_verifier:
            pytest.skip("the provider does not know PKCE")
        strategy, theirs, mine = self.create(), new_challenge(), new_challenge()
        settings = self._settings(strategy)
        stolen = await self.sign_in(await strategy.begin(settings, challenge=theirs))
        await strategy.begin(settings, challenge=mine)
        with pytest.raises(UserAuthenticationFailed):
            await strategy.complete(
                settings, challenge=mine, parameters={**stolen, "state": mine.state}
            )
        await strategy.close()

    async def test_a_user_who_declines_is_refused(self) -> None:
        strategy, challenge = self.create(), new_challenge()
        settings = self._settings(strategy)
        parameters = await self.decline(await strategy.begin(settings, challenge=challenge))
        with pytest.raises(UserAuthenticationFailed):
            await strategy.complete(settings, challenge=challenge, parameters=parameters)
        await strategy.close()

    @pytest.mark.parametrize("parameters", [{}, {"code": ""}, {"code": "x" * 64}, {"error": "e"}])
    async def test_what_no_provider_sent_is_refused(self, parameters: Mapping[str, str]) -> None:
        strategy, challenge = self.create(), new_challenge()
        settings = self._settings(strategy)
        await strategy.begin(settings, challenge=challenge)
        with pytest.raises(UserAuthenticationFailed):
            await strategy.complete(
                settings, challenge=challenge, parameters={**parameters, "state": challenge.state}
            )
        await strategy.close()

    async def test_without_an_answer_it_is_unavailable(self) -> None:
        strategy = self.unreachable()
        if not isinstance(strategy, RedirectStrategy):
            pytest.skip("the strategy asks nobody")
        with pytest.raises(ServiceUnavailable):
            await self._begin_and_complete(strategy, {"code": "x", "state": "y"})
        await strategy.close()

    async def _begin_and_complete(
        self, strategy: RedirectStrategy[Any], parameters: Mapping[str, str]
    ) -> None:
        settings, challenge = self._settings(strategy), new_challenge()
        async with asyncio.timeout(PATIENCE):
            await strategy.begin(settings, challenge=challenge)
            await strategy.complete(settings, challenge=challenge, parameters=parameters)

    async def _complete(self, strategy: RedirectStrategy[Any]) -> Account:
        challenge = new_challenge()
        settings = self._settings(strategy)
        parameters = await self.sign_in(await strategy.begin(settings, challenge=challenge))
        async with asyncio.timeout(PATIENCE):
            return await strategy.complete(settings, challenge=challenge, parameters=parameters)


class _OneUser(OwnAccounts):
    """The accounts of an application with one user, `OWN_USER`."""

    async def with_password(self, username: str, password: str) -> Subject | None:
        if (username, password) == OWN_USER:
            return Subject("urn:nexxus:users", "own-user-id")
        return None


def new_challenge() -> Challenge:
    """Return the secrets of one more sign-in."""
    return Challenge(*(secrets.token_urlsafe(32) for _ in range(3)))


def check_account(account: Account) -> None:
    """Check what Nexxus relies on."""
    assert account.subject.issuer
    assert account.subject.sub
    assert account.address is None or "@" in account.address
    msgspec.json.encode(account.details)
