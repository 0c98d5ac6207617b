"""Signing in with credentials, with any strategy."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from accounts_world import PASSWORD, AccountsWorld

from nexxus.accounts.user_records import User
from nexxus.errors import (
    AccessDenied,
    InvalidParameters,
    TooManyRequests,
    UserAuthenticationFailed,
)

contract = pytest.mark.contract("3. Sessions, users, devices", "signing in")


@contract
async def test_a_user_name_and_a_password_open_a_session(world: AccountsWorld) -> None:
    registered = await world.register("ann")

    signed_in = await world.sign_in("ann", device={"name": "phone"})

    assert signed_in.user.id == registered.user.id
    assert signed_in.device.name == "phone"
    assert (await world.identify(signed_in)).user_id == registered.user.id


@contract
@pytest.mark.parametrize("case", ["wrong", "unknown", "disabled", "no password", "too long"])
async def test_every_failed_sign_in_looks_the_same(world: AccountsWorld, case: str) -> None:
    user = (await world.register("ann")).user
    name, password = "ann", PASSWORD
    if case == "wrong":
        password = "battery staple"
    elif case == "unknown":
        name = "beth"
    elif case == "too long":
        password = PASSWORD + "x" * 1024
    else:
        changes: dict[str, Any] = {"disabled": True}
        if case == "no password":
            changes = {"password_hash": None}
        await world.records.change(user, lambda each: msgspec.structs.replace(each, **changes))

    with pytest.raises(UserAuthenticationFailed) as refusal:
        await world.sign_in(name, password)

    assert refusal.value.message == "the user name or the password is wrong"


@contract
async def test_failures_are_counted_per_account(world: AccountsWorld) -> None:
    await world.register("ann")
    for spelling in ("ann", "Ann", " ann"):
        with pytest.raises(UserAuthenticationFailed):
            await world.sign_in(spelling, "wrong")

    with pytest.raises(TooManyRequests):
        await world.sign_in("ann")
    with pytest.raises(UserAuthenticationFailed):
        await world.with_credentials("directory", {"uid": "ann", "pin": "wrong"})


async def test_sign_ins_are_measured_by_their_outcome(world: AccountsWorld) -> None:
    await world.register("ann")
    await world.sign_in("ann")
    for _ in range(3):
        with pytest.raises(UserAuthenticationFailed):
            await world.sign_in("ann", "wrong")
    with pytest.raises(TooManyRequests):
        await world.sign_in("ann")

    figures = world.accounts.sign_in.figures
    assert (figures.succeeded, figures.failed, figures.limited) == (2, 3, 1)


@contract
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "ann"}, "password"),
        ({"username": 7, "password": PASSWORD}, "username"),
        ({"username": "ann", "password": PASSWORD, "pin": "1"}, "pin"),
        ({"username": "ann", "password": PASSWORD, "userType": "guest"}, "userType"),
        ({"username": "ann", "password": PASSWORD, "device": {"idd": "1"}}, "device.idd"),
        ({"username": "ann", "password": PASSWORD, "device": "phone"}, "device"),
    ],
)
async def test_an_invalid_body_is_refused_by_key(
    world: AccountsWorld, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        await world.with_credentials("local", body)

    assert refusal.value.details is not None
    assert refusal.value.details["field"] == field


@contract
async def test_a_credentials_strategy_may_create_a_new_user(world: AccountsWorld) -> None:
    world.directory.pins["ann"] = "1234"
    credentials = {"uid": "ann", "pin": "1234"}

    with pytest.raises(AccessDenied):
        await world.with_credentials("directory", {**credentials, "userType": "staff"})
    first = await world.with_credentials("directory", {**credentials, "userType": "guest"})
    second = await world.with_credentials("directory", credentials)

    assert first.user == second.user
    assert first.user.user_type == "guest"
    assert first.user.subjects == {"directory:staff": "ann"}
    assert first.user.auth_providers == ["directory"]


@contract
@pytest.mark.parametrize("change", ["disabled", "deleted", "password"])
async def test_a_user_changed_during_sign_in_gets_no_session(
    world: AccountsWorld, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    user = (await world.register("ann")).user
    verify = world.passwords.verify

    async def verify_and_be_overtaken(known_hash: str | None, password: str) -> bool:
        is_right = await verify(known_hash, password)
        if change == "deleted":
            await world.accounts.users.delete(world.app, user.id)
        elif change == "disabled":
            await world.accounts.users.administer(world.app, user.id, user_type=None, disabled=True)
        else:
            await world.records.change(user, _with_another_password)
        return is_right

    monkeypatch.setattr(world.passwords, "verify", verify_and_be_overtaken)

    with pytest.raises(UserAuthenticationFailed):
        await world.sign_in("ann")

    live = await world.registry.sessions.of_user("app", user.id)
    assert len(live) == (1 if change == "password" else 0), "the one of the registration"


def _with_another_password(user: User) -> User:
    return msgspec.structs.replace(user, password_hash="another")
