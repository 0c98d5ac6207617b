"""Contract §3: the user's own account."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from client import replace, unique

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")

PASSWORD = "correct horse"


@contract("a session")
async def test_registering_opens_a_session(signed: Any, new_client: Any) -> None:
    client = new_client(signed)
    name = unique("new")
    body = {"username": name, "password": PASSWORD, "firstName": "Ann", "age": 40}

    session = await client.ok("POST", "/user/register", body)

    assert set(session) == {"token", "refreshToken", "device", "user"}
    assert {"id", "name"} == set(session["device"])
    assert session["user"] == {"id": session["user"]["id"], "username": name}
    client.adopt(session)
    me = await client.ok("GET", "/user/me")
    assert me["details"] == {"firstName": "Ann", "age": 40}


@contract("registering")
async def test_a_name_can_be_registered_only_once_even_concurrently(
    signed: Any, new_client: Any
) -> None:
    body = {"username": unique("rush"), "password": PASSWORD}

    answers = await asyncio.gather(
        *(new_client(signed).send("POST", "/user/register", body) for _ in range(5))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


@contract("registering")
@pytest.mark.parametrize("change", [{"password": None}, {"shoeSize": 44}, {"$google": "x"}])
async def test_an_invalid_registration_is_refused(
    signed: Any, new_client: Any, change: Any
) -> None:
    body = {"username": unique("odd"), "password": PASSWORD, **change}
    body = {key: value for key, value in body.items() if value is not None}

    (named,) = change
    await new_client(signed).refused("POST", "/user/register", body, named)


@contract("the user's own account")
async def test_me_shows_the_users_claims(user: Any) -> None:
    me = await user.ok("GET", "/user/me")

    assert set(me) == {"id", "username", "userType", "authProviders", "details", "appId"}
    assert me["id"] == user.user_id
    assert me["username"] == user.username
    assert me["userType"] == "default"
    assert me["authProviders"] == ["local"]
    assert me["appId"] == user.app_id


@contract("the user's own account")
async def test_a_change_of_the_user_is_visible_after_the_next_refresh(user: Any) -> None:
    answer = await user.ok(
        "PUT", "/user/", {"patch": replace(details__firstName="Ann", details__age=41)}
    )
    assert set(answer) == {"message"}
    before = await user.ok("GET", "/user/me")
    assert "firstName" not in before["details"]

    await user.refresh()

    assert (await user.ok("GET", "/user/me"))["details"] == {"firstName": "Ann", "age": 41}


@contract("the user's own account")
@pytest.mark.parametrize("path", ["userType", "details.$google", "details.unknown"])
async def test_changing_a_protected_field_is_refused(user: Any, path: str) -> None:
    patch = {"op": "replace", "path": path, "value": "x"}

    await user.refused("PUT", "/user/", {"patch": patch}, path)


@contract("no users without auth")
async def test_a_route_that_needs_a_user_refuses_a_token_without_one(
    app: Any, new_client: Any
) -> None:
    client = await new_client(app).register_device()

    await client.refused("GET", "/user/me", error="InvalidAuthMethodException")
    await client.refused(
        "PUT", "/user/", {"patch": replace(username="x")}, error="InvalidAuthMethodException"
    )
