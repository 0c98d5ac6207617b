"""The user for an account verified by a provider."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from accounts_world import AccountsWorld

from nexxus.accounts.user_records import User
from nexxus.errors import (
    AccessDenied,
    ServiceUnavailable,
    UserAlreadyExists,
    UserAuthenticationFailed,
    UserTokenExpired,
)
from nexxus.interfaces.auth_strategy import Account, Subject
from nexxus.interfaces.registry import Presence

pytestmark = pytest.mark.contract(
    "3. Sessions, users, devices", "accounts of an OpenID Connect provider"
)

ISSUER, OTHER_ISSUER = "https://id.example", "https://other.example"
ANN = "ann@example.com"


def account(
    sub: str, address: str | None = None, *, issuer: str = ISSUER, **details: Any
) -> Account:
    return Account(Subject(issuer, sub), address, details)


async def user_of(
    world: AccountsWorld, account: Account, user_type: str | None = None, provider: str = "google"
) -> User:
    return await world.provider_accounts.user_of(world.app, provider, account, user_type)


async def test_the_first_sign_in_creates_a_user_named_by_the_proven_address(
    world: AccountsWorld,
) -> None:
    user = await user_of(world, account("1", ANN, firstName="Ann", age="old", picture="x"))

    assert (user.username, user.auth_providers, user.user_type) == (ANN, ["google"], "default")
    assert user.details == {"firstName": "Ann"}, "what fits the application's declaration"
    assert await world.records.find("app", ANN) == user


async def test_without_a_proven_address_the_subject_names_the_user(world: AccountsWorld) -> None:
    user = await user_of(world, account("1"))

    assert user.username == "google:1"
    assert await user_of(world, account("1")) == user


async def test_the_subject_stays_the_same_user_after_renames(
    world: AccountsWorld,
) -> None:
    made = await user_of(world, account("1", ANN))
    renamed = await world.records.rename(made, "beth")

    found = await user_of(world, account("1", "beth@example.com"))

    assert found == renamed


async def test_another_subject_of_the_issuer_is_another_user(world: AccountsWorld) -> None:
    ann = await user_of(world, account("1", ANN))

    beth = await user_of(world, account("2", "beth@example.com"))

    assert beth.id != ann.id


@pytest.mark.contract(
    "3. Sessions, users, devices", "an account of a provider is known by issuer and sub"
)
async def test_the_same_sub_from_another_issuer_is_another_user(world: AccountsWorld) -> None:
    ann = await user_of(world, account("1", ANN))

    other = await user_of(world, account("1", "eve@example.com", issuer=OTHER_ISSUER))

    assert other.id != ann.id


async def test_a_new_user_may_have_a_type_that_is_not_private(world: AccountsWorld) -> None:
    assert (await user_of(world, account("1", ANN), "guest")).user_type == "guest"
    assert (await user_of(world, account("1", ANN), "default")).user_type == "guest"
    with pytest.raises(AccessDenied):
        await user_of(world, account("2"), "staff")


@pytest.mark.contract(
    "3. Sessions, users, devices", "linking removes a password that proves no address"
)
async def test_linking_removes_the_password_of_an_account_with_an_unproven_address(
    world: AccountsWorld,
) -> None:
    squatter = await world.register(ANN, firstName="Eve")
    world.clock.advance(1)

    user = await user_of(world, account("1", ANN))

    assert user.id == squatter.user.id
    assert (user.password_hash, user.auth_providers) == (None, ["google"])
    with pytest.raises(UserTokenExpired):
        await world.identify(squatter)
    with pytest.raises(UserAuthenticationFailed):
        await world.sign_in(ANN)
    assert await user_of(world, account("1", ANN)) == user


async def test_an_account_created_by_a_provider_keeps_its_password_and_sessions(
    world: AccountsWorld,
) -> None:
    ann = await user_of(world, account("1", ANN))
    signed_in = await world.begin(ann)
    patch = {"op": "replace", "path": "password", "value": "battery staple"}
    await world.accounts.users.change(world.app, await world.identify(signed_in), patch)

    linked = await user_of(world, account("7", ANN, issuer=OTHER_ISSUER), provider="second")

    assert linked.id == ann.id
    assert linked.auth_providers == ["google", "local", "second"]
    await world.identify(signed_in)
    await world.sign_in(ANN, "battery staple")


@pytest.mark.contract(
    "3. Sessions, users, devices", "an address that another subject has is not linked"
)
async def test_an_address_of_another_subject_of_the_issuer_is_not_linked(
    world: AccountsWorld,
) -> None:
    ann = await user_of(world, account("1", ANN))

    with pytest.raises(UserAlreadyExists):
        await user_of(world, account("2", ANN))

    assert await world.records.get("app", ann.id) == ann


async def test_a_name_taken_by_another_providers_user_proves_nothing(
    world: AccountsWorld,
) -> None:
    eve = await user_of(world, account("666", "eve@example.com", issuer=OTHER_ISSUER))
    await world.records.rename(eve, ANN)

    with pytest.raises(UserAlreadyExists):
        await user_of(world, account("1", ANN))


async def test_a_name_that_only_compares_as_the_address_is_not_linked(world: AccountsWorld) -> None:
    ann = await world.register("straße@example.com")

    with pytest.raises(UserAlreadyExists):
        await user_of(world, account("1", "strasse@example.com"))

    await world.identify(ann)
    await world.sign_in("straße@example.com")


@pytest.mark.parametrize("is_linked", [True, False])
async def test_a_disabled_user_is_refused(world: AccountsWorld, is_linked: bool) -> None:
    if is_linked:
        user = await user_of(world, account("1", ANN))
    else:
        user = (await world.register(ANN)).user
    await world.records.change(user, lambda each: msgspec.structs.replace(each, disabled=True))

    with pytest.raises(UserAuthenticationFailed):
        await user_of(world, account("1", ANN))

    stored = await world.records.get("app", user.id)
    assert stored is not None
    assert stored.password_hash == user.password_hash


async def test_a_link_that_failed_midway_is_completed_by_the_next_sign_in(
    world: AccountsWorld,
) -> None:
    squatter = await world.register(ANN)
    connection = Presence("app", squatter.device.id, "n1", "websockets", "c1")
    await world.registry.presence.connect(connection)
    world.peers.failure = ServiceUnavailable("the broker is away")
    with pytest.raises(ServiceUnavailable):
        await user_of(world, account("1", ANN))
    world.peers.failure = None

    user = await user_of(world, account("1", ANN))

    assert user.subjects == {ISSUER: "1"}
    assert await world.registry.sessions.of_user("app", user.id) == []
    assert len(world.peers.messages) == 1


async def test_a_password_set_during_linking_is_removed(
    world: AccountsWorld,
) -> None:
    squatter = await world.register(ANN)
    identity = await world.identify(squatter)
    patch = {"op": "replace", "path": "password", "value": "battery staple"}
    end_all_of = world.accounts.sessions.end_all_of

    async def end_after_the_squatter_has_tried(*arguments: Any, **options: Any) -> None:
        world.accounts.sessions.end_all_of = end_all_of  # type: ignore[method-assign]
        await world.accounts.users.change(world.app, identity, patch)
        await end_all_of(*arguments, **options)

    world.accounts.sessions.end_all_of = end_after_the_squatter_has_tried  # type: ignore[method-assign]
    user = await user_of(world, account("1", ANN))

    assert (user.password_hash, user.auth_providers) == (None, ["google"])
    with pytest.raises(UserTokenExpired):
        await world.accounts.users.change(world.app, identity, patch)


async def test_a_deleted_users_name_and_subject_are_free_again(world: AccountsWorld) -> None:
    user = await user_of(world, account("1", ANN))
    await world.accounts.users.delete(world.app, user.id)

    again = await user_of(world, account("1", ANN))

    assert again.id != user.id
