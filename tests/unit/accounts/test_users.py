"""Registration, changes by the user, and administration."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from accounts_world import APPLICATION, PASSWORD, AccountsWorld

from nexxus.accounts.sign_in import NewSession
from nexxus.accounts.users import Me
from nexxus.domain.application import parse_application
from nexxus.errors import (
    AccessDenied,
    InvalidAuthMethod,
    InvalidParameters,
    NexxusError,
    NoAuthPresent,
    NotFound,
    UserAlreadyExists,
    UserAuthenticationFailed,
)

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")


def replace(**fields: Any) -> dict[str, Any]:
    """A patch that sets fields; ``__`` in a name is a dot in the path."""
    return {
        "op": "replace",
        "path": [name.replace("__", ".") for name in fields],
        "value": list(fields.values()),
    }


async def change(world: AccountsWorld, session: NewSession, patch: Any) -> None:
    await world.accounts.users.change(world.app, await world.identify(session), patch)


# Registering


@contract("registering")
async def test_a_new_user_has_the_given_details(world: AccountsWorld) -> None:
    session = await world.register("ann", firstName="Ann", age=40.0, device={"name": "phone"})

    assert session.user.details == {"firstName": "Ann", "age": 40}
    assert session.user.auth_providers == ["local"]
    assert session.device.name == "phone"
    assert PASSWORD not in str(await world.records.find("app", "ann"))


@contract("registering")
@pytest.mark.parametrize(
    "body",
    [
        {"username": None},
        {"username": ""},
        {"username": 7},
        {"username": "x" * 257},
        {"password": None},
        {"password": ""},
        {"password": 7},
        {"password": "x" * 1025},
        {"userType": "unheard-of"},
        {"userType": ["guest"]},
        {"firstName": 7},
        {"shoeSize": 44},
        {"$google": "x"},
        {"device": {"idd": "x"}},
    ],
)
async def test_an_invalid_registration_is_refused(
    world: AccountsWorld, body: dict[str, Any]
) -> None:
    whole = {"username": "ann", "password": PASSWORD, **body}
    whole = {key: value for key, value in whole.items() if value is not None}

    with pytest.raises(InvalidParameters) as refusal:
        await world.accounts.users.register(world.app, whole)

    (field,) = body
    assert str(refusal.value.details and refusal.value.details["field"]).startswith(field)
    assert await world.records.find("app", "ann") is None


@contract("registering")
async def test_a_private_type_cannot_be_chosen(world: AccountsWorld) -> None:
    assert (await world.register("ann", userType="guest")).user.user_type == "guest"
    with pytest.raises(AccessDenied):
        await world.register("eve", userType="staff")


@contract("registering")
async def test_a_name_can_be_registered_only_once_even_concurrently(world: AccountsWorld) -> None:
    outcomes = await asyncio.gather(
        *(world.register("ann") for _ in range(5)), return_exceptions=True
    )

    refused = [each for each in outcomes if isinstance(each, UserAlreadyExists)]
    assert len(refused) == 4
    await world.sign_in("ann")


@contract("user names are compared normalised")
async def test_a_name_that_looks_the_same_is_taken(world: AccountsWorld) -> None:
    await world.register("Bob")

    with pytest.raises(UserAlreadyExists):
        await world.register(" bob")
    assert (await world.sign_in("BOB")).user.username == "Bob"


@contract("registering")
@pytest.mark.parametrize("auth", [None, {"strategies": {"directory": {"realm": "staff"}}}])
async def test_without_passwords_registration_is_refused(world: AccountsWorld, auth: Any) -> None:
    application = parse_application({**APPLICATION, "auth": auth})
    body = {"username": "ann", "password": PASSWORD}

    with pytest.raises(InvalidAuthMethod):
        await world.accounts.users.register(application, body)


# The user's own account


@contract("the user's own account")
async def test_me_shows_the_tokens_claims(world: AccountsWorld) -> None:
    session = await world.register("ann", firstName="Ann")

    assert world.accounts.users.me(world.app, await world.identify(session)) == Me(
        id=session.user.id,
        username="ann",
        user_type="default",
        auth_providers=["local"],
        details={"firstName": "Ann"},
        app_id="app",
    )


@contract("the user's own account")
async def test_several_changes_are_one_patch(world: AccountsWorld) -> None:
    session = await world.register("ann", age=40)
    patches = [
        replace(username="beth", details__firstName="Beth"),
        {"op": "incr", "path": "details.age", "value": 1},
    ]

    await change(world, session, patches)

    stored = await world.records.find("app", "beth")
    assert stored is not None
    assert stored.details == {"firstName": "Beth", "age": 41}
    assert await world.records.find("app", "ann") is None
    with pytest.raises(UserAuthenticationFailed):
        await world.sign_in("ann")
    await world.sign_in("beth")


@contract("user names are compared normalised")
async def test_a_user_may_spell_the_own_name_in_another_way(world: AccountsWorld) -> None:
    session = await world.register("ann")

    await change(world, session, replace(username="Ann"))

    assert (await world.sign_in("ann")).user.username == "Ann"
    with pytest.raises(UserAlreadyExists):
        await world.register("ANN")


@contract("the user's own account")
async def test_an_existing_name_cannot_be_chosen(world: AccountsWorld) -> None:
    session = await world.register("ann")
    await world.register("beth")

    with pytest.raises(UserAlreadyExists):
        await change(world, session, replace(username="beth"))


@contract("the user's own account")
@pytest.mark.parametrize(
    "patch",
    [
        *(
            replace(**{path.replace(".", "__"): "x"})
            for path in (
                *("userType", "authProviders", "devices", "createdAt", "updatedAt", "id", "appId"),
                *("details.$google", "details.unknown", "nonsense", "details", "version", "type"),
                *("passwordHash", "subjects", "address", "disabled"),
            )
        ),
        replace(username=""),
        replace(username="x" * 257),
        replace(password=""),
        replace(password=7),
        replace(details__age="old"),
        {"op": "append", "path": "password", "value": "x"},
        {"op": "prepend", "path": "password", "value": "x"},
        {"op": "remove", "path": "username"},
        [],
        "nonsense",
    ],
    ids=str,
)
async def test_changing_a_protected_field_is_refused(world: AccountsWorld, patch: Any) -> None:
    session = await world.register("ann")

    with pytest.raises(InvalidParameters):
        await change(world, session, patch)

    assert await world.records.get("app", session.user.id) == session.user
    await world.sign_in("ann")


@contract("the user's own account")
async def test_a_password_can_be_changed_even_if_the_details_are_no_longer_valid(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann", firstName="Ann")
    nick = {"default": {"nick": {"type": "string"}}}
    auth = {**APPLICATION["auth"], "userDetailSchema": nick}
    world.app = parse_application({**APPLICATION, "auth": auth})

    await change(world, session, replace(password="battery staple"))
    with pytest.raises(InvalidParameters, match="firstName"):
        await change(world, session, replace(details__nick="A"))
    await change(world, session, replace(details={"nick": "A"}))

    assert (await world.sign_in("ann", "battery staple")).user.details == {"nick": "A"}


@contract("the user's own account")
async def test_a_concurrent_change_is_not_undone(world: AccountsWorld) -> None:
    session = await world.register("ann")
    other = await world.sign_in("ann")

    await asyncio.gather(
        change(world, session, replace(details__age=41)),
        change(world, other, replace(details__firstName="Ann")),
    )

    stored = await world.records.get("app", session.user.id)
    assert stored is not None
    assert stored.details == {"age": 41, "firstName": "Ann"}


@contract("the user's own account")
async def test_an_added_device_has_its_own_session(world: AccountsWorld) -> None:
    session = await world.register("ann")

    added = await world.accounts.users.add_device(world.app, await world.identify(session), "watch")

    assert (added.device.name, added.device.user_id) == ("watch", session.user.id)
    assert (await world.identify(added)).user_id == session.user.id
    assert await world.is_live(session)


@contract("the user's own account")
async def test_a_token_without_a_user_is_refused(world: AccountsWorld) -> None:
    world.app.auth = None
    device = await world.accounts.devices.register(world.app, "sensor", None)
    tokens = await world.accounts.sessions.begin(world.app, device, None)
    identity = await world.accounts.sessions.verify("app", tokens.token)

    with pytest.raises(InvalidAuthMethod):
        world.accounts.users.me(world.app, identity)
    with pytest.raises(InvalidAuthMethod):
        await world.accounts.users.change(world.app, identity, replace(username="x"))


# Administration


@contract("administration of users")
async def test_users_are_listed_without_their_secrets(world: AccountsWorld) -> None:
    await world.register("ann")
    world.clock.advance(1)
    await world.register("beth")

    listed = await world.accounts.users.list(world.app, limit=1, offset=1)

    assert [user["username"] for user in listed] == ["beth"]
    assert set(listed[0]) == {
        *("id", "appId", "username", "userType", "authProviders", "details"),
        *("disabled", "createdAt", "updatedAt"),
    }


@contract("administration of users")
async def test_an_administrator_can_assign_a_private_type(world: AccountsWorld) -> None:
    user = (await world.register("ann")).user

    changed = await world.accounts.users.administer(
        world.app, user.id, user_type="staff", disabled=None
    )

    assert changed["userType"] == "staff"
    with pytest.raises(InvalidParameters):
        await world.accounts.users.administer(
            world.app, user.id, user_type="unheard-of", disabled=None
        )


@contract("administration of users")
async def test_only_the_objects_of_a_deleted_user_remain(world: AccountsWorld) -> None:
    session = await world.register("ann")
    identity = await world.identify(session)
    await world.connect(session)

    await world.accounts.users.delete(world.app, session.user.id)

    assert not await world.is_live(session)
    assert await world.registry.devices.of_user("app", session.user.id) == []
    with pytest.raises(NoAuthPresent):
        await world.accounts.users.change(world.app, identity, replace(username="x"))
    await world.register("ann")


@contract("administration of users")
async def test_an_unknown_user_is_not_found(world: AccountsWorld) -> None:
    for attempt in (
        world.accounts.users.delete(world.app, "nobody"),
        world.accounts.users.administer(world.app, "nobody", user_type=None, disabled=True),
    ):
        with pytest.raises(NotFound):
            await attempt


@contract("administration of users")
async def test_users_belong_to_one_application(world: AccountsWorld) -> None:
    user = (await world.register("ann")).user

    for attempt in (
        world.accounts.users.delete(world.other_app, user.id),
        world.accounts.users.administer(world.other_app, user.id, user_type=None, disabled=True),
    ):
        with pytest.raises(NexxusError):
            await attempt
    assert await world.records.find("other", "ann") is None
