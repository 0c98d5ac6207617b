"""Tokens that are accepted once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from accounts_world import AccountsWorld
from hypothesis import given
from hypothesis import strategies as st

from nexxus.accounts.one_time_tokens import OneTimeToken, OneTimeTokens, application_of
from nexxus.errors import UserAuthenticationFailed


class Content(msgspec.Struct, frozen=True):
    what: str


@pytest.fixture
def tokens(world: AccountsWorld) -> OneTimeTokens[Content]:
    return of_purpose(world, "door")


def of_purpose(world: AccountsWorld, purpose: str) -> OneTimeTokens[Content]:
    return OneTimeTokens(
        world.registry.claims, Content, purpose=purpose, lifetime=60, clock=world.clock
    )


async def test_a_token_has_its_content_and_its_application(
    world: AccountsWorld, tokens: OneTimeTokens[Content]
) -> None:
    issued = tokens.issue(world.app, Content("key"))

    assert application_of(issued.text) == "app"
    assert tokens.read(world.app, issued.text) == issued


async def test_a_token_can_be_read_until_it_expires(
    world: AccountsWorld, tokens: OneTimeTokens[Content]
) -> None:
    text = tokens.issue(world.app, Content("key")).text
    world.clock.advance(59)
    assert tokens.read(world.app, text)
    world.clock.advance(1)

    with pytest.raises(UserAuthenticationFailed):
        tokens.read(world.app, text)


async def test_only_one_of_many_concurrent_uses_of_a_token_succeeds(
    world: AccountsWorld, tokens: OneTimeTokens[Content]
) -> None:
    token = tokens.issue(world.app, Content("key"))

    outcomes = await asyncio.gather(
        *(tokens.use(world.app, token) for _ in range(5)), return_exceptions=True
    )

    assert outcomes.count(None) == 1
    assert sum(isinstance(each, UserAuthenticationFailed) for each in outcomes) == 4


async def test_a_used_token_stays_used_on_a_node_whose_clock_is_behind(
    world: AccountsWorld, tokens: OneTimeTokens[Content]
) -> None:
    token = tokens.issue(world.app, Content("key"))
    await tokens.use(world.app, token)
    world.clock.advance(61)

    with pytest.raises(UserAuthenticationFailed):
        await tokens.use(world.app, token)


async def test_a_token_is_valid_for_one_purpose_and_one_application(
    world: AccountsWorld, tokens: OneTimeTokens[Content]
) -> None:
    text = tokens.issue(world.app, Content("key")).text

    with pytest.raises(UserAuthenticationFailed):
        of_purpose(world, "window").read(world.app, text)
    with pytest.raises(UserAuthenticationFailed):
        tokens.read(world.other_app, text)
    with pytest.raises(UserAuthenticationFailed):
        await world.accounts.sessions.verify("app", text)


async def test_each_token_has_its_own_secrets(
    world: AccountsWorld, tokens: OneTimeTokens[Content]
) -> None:
    one, other = (tokens.issue(world.app, Content("key")) for _ in "12")

    def secrets(token: OneTimeToken[Content]) -> set[str]:
        return {tokens.secret_of(world.app, token, name) for name in ("a", "b")}

    assert len(secrets(one) | secrets(other)) == 4
    assert secrets(one) == secrets(one)
    assert all(len(secret) == 43 for secret in secrets(one))


@given(text=st.text())
def test_an_invalid_token_names_no_application(text: Any) -> None:
    with pytest.raises(UserAuthenticationFailed):
        application_of(text)
