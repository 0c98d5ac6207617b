"""Contract §2: administration of applications and their users."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient, assert_error
from documents import (
    open_application,
    signed_application,
)
from waiting import eventually

contract = partial(pytest.mark.contract, "2. Applications and schemas")


def one_role(**change: Any) -> Any:
    statement = {"effect": "Allow", "action": ["*"], "resource": ["*"], **change}
    return {"r": {"statements": [statement]}}


# Ids


@contract("an id is generated or chosen")
async def test_an_existing_id_is_a_conflict(admin: Admin, app: Any) -> None:
    admin.refused(open_application(id=app["id"]), status=409)


@contract("managing applications")
async def test_an_id_cannot_be_changed(admin: Admin, app: Any) -> None:
    response = admin.http.put(f"/applications/{app['id']}", json={"id": "another"})

    assert_error(response, 400, "InvalidParametersException", "id")


# Documents


@contract("an application's document is validated")
@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"schema": {"thing": {"fields": {"f": {"type": "int", "filterabel": True}}}}},
        {"defaultLimit": 50, "maxLimit": 20},
        {"session": {"jwtExpiresIn": "1h"}},
        {"auth": {"strategies": {"carrier-pigeon": {}}}},
        {"auth": {"strategies": {"local": {"colour": "red"}}}},
        {"auth": {"strategies": {"google": {"clientID": "x", "clientSecret": "y"}}}},
        {"roles": one_role(action=["fly"])},
    ],
)
async def test_an_invalid_document_is_refused(admin: Admin, change: Any) -> None:
    admin.refused(open_application(**change))


@contract("secrets are never shown")
async def test_the_signing_secret_and_strategies_secrets_are_never_shown(admin: Admin) -> None:
    google = {"clientID": "me", "clientSecret": "hush-hush", "callbackURL": "http://x/cb"}
    document = signed_application(
        signingSecret="a-signing-secret-of-a-good-length-0123",
        auth={"strategies": {"local": {}, "google": google}},
    )
    app_id = document["id"]

    answers = [
        admin.http.post("/applications", json=document),
        admin.http.get(f"/applications/{app_id}"),
        admin.http.get("/applications", params={"limit": 1000}),
        admin.http.put(f"/applications/{app_id}", json={"name": "Other"}),
    ]

    for answer in answers:
        assert answer.is_success, answer.text
        assert "hush-hush" not in answer.text
        assert "a-signing-secret" not in answer.text
        assert "signingSecret" not in answer.text


@contract("managing applications")
async def test_a_secret_that_a_change_leaves_out_is_kept(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    client = await new_client(app).register_user("u")

    admin.put(app["id"], {"auth": app["auth"], "name": "Renamed"})

    await client.ok("GET", "/user/me")


@contract("managing applications")
async def test_an_application_is_created_read_listed_changed_and_removed(admin: Admin) -> None:
    document = open_application(description="first")
    created = admin.create(document)
    app_id = document["id"]
    assert created["id"] == app_id

    read = admin.http.get(f"/applications/{app_id}").json()
    assert read == {"data": created}
    listed = admin.http.get("/applications", params={"limit": 1000}).json()["data"]["items"]
    assert app_id in [item["id"] for item in listed]
    changed = admin.put(app_id, {"id": app_id, "description": "second"})
    assert changed == {**created, "description": "second"}

    removed = admin.http.delete(f"/applications/{app_id}")
    assert removed.status_code == 200
    assert set(removed.json()) == {"message"}
    assert_error(admin.http.get(f"/applications/{app_id}"), 404, "ApplicationNotFoundException")


@contract("managing applications")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unknown_application_cannot_be_managed(admin: Admin, method: str) -> None:
    response = admin.http.request(
        method, "/applications/nobody-made-this", json={} if method == "PUT" else None
    )
    assert_error(response, 404, "ApplicationNotFoundException")


@contract("a change takes effect within 5 s, without downtime")
async def test_a_deleted_application_is_gone_with_all_its_data(
    admin: Admin, new_client: Any
) -> None:
    document = open_application()
    admin.create(document)
    client = await new_client(document).register_device()
    await client.create("task", title="x")
    await client.connect()

    assert admin.http.delete(f"/applications/{document['id']}").status_code == 200

    async def refused() -> bool:
        return (await client.send("POST", "/model/task/search", {})).status_code == 404

    await eventually(refused, patience=5)
    await client.socket.wait_closed()
    admin.create(document)
    again = await new_client(document).register_device()
    assert await again.search("task") == []


# The admin key


@contract("managing applications")
@pytest.mark.parametrize("key", [None, "Bearer wrong", "Bearer", "Basic eDp5"])
@pytest.mark.parametrize("path", ["/applications", "/applications/x", "/applications/x/users"])
async def test_the_admin_key_is_required(
    endpoint: Any, http: httpx2.AsyncClient, key: str | None, path: str
) -> None:
    headers = {} if key is None else {"Authorization": key}
    response = await http.get(f"{endpoint.url}/admin{path}", headers=headers)

    assert response.status_code == 401
    assert response.json()["error"] in (
        "NoAuthPresentException",
        "UserAuthenticationFailedException",
    )


@contract("managing applications")
async def test_the_admin_key_is_not_a_token_of_an_application(client: NexxusClient) -> None:
    await client.refused(
        "GET",
        "/device",
        status=401,
        error="UserAuthenticationFailedException",
        headers={"Authorization": f"Bearer {client.endpoint.admin_key}"},
    )


# User types


@contract("user types")
async def test_a_private_user_type_cannot_be_chosen(admin: Admin, new_client: Any) -> None:
    client = new_client(admin.create(signed_application()))
    body = {"username": "u", "password": "p4ssw0rd!", "userType": "staff"}

    await client.refused("POST", "/user/register", body, status=403, error="AccessDeniedException")
    await client.refused("POST", "/user/register", {**body, "userType": "nobody"}, "userType")
    await client.register_user("u", userType="guest")
    assert (await client.ok("GET", "/user/me"))["userType"] == "guest"


@contract("no users without auth")
async def test_registering_in_an_application_without_users_is_refused(client: NexxusClient) -> None:
    await client.refused(
        "POST",
        "/user/register",
        {"username": "u", "password": "p4ssw0rd!"},
        error="InvalidAuthMethodException",
    )


# Users


@contract("managing users")
async def test_users_are_listed_changed_disabled_and_removed(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    users = f"/applications/{app['id']}/users"
    clients = [await new_client(app).register_user(name) for name in ("ann", "bob", "cyd")]

    listed = admin.http.get(users).json()["data"]["items"]
    assert sorted(user["username"] for user in listed) == ["ann", "bob", "cyd"]
    assert "password" not in str(listed)
    assert "argon2" not in str(listed)
    pages = [
        admin.http.get(users, params={"limit": 2, "offset": offset}).json()["data"]["items"]
        for offset in (0, 2)
    ]
    assert [len(page) for page in pages] == [2, 1]
    assert pages[0] + pages[1] == listed

    ann, bob, cyd = clients
    admin.set_user(app["id"], ann.user_id, userType="staff")
    await ann.sign_in("ann")
    assert (await ann.ok("GET", "/user/me"))["userType"] == "staff"

    admin.set_user(app["id"], bob.user_id, disabled=True)
    body = {"username": "bob", "password": "correct horse"}
    as_disabled = await bob.refused(
        "POST", "/auth/local", body, status=401, error="UserAuthenticationFailedException"
    )
    as_wrong = await bob.refused(
        "POST",
        "/auth/local",
        {**body, "username": "cyd", "password": "wrong"},
        status=401,
        error="UserAuthenticationFailedException",
    )
    assert as_disabled["message"] == as_wrong["message"]
    admin.set_user(app["id"], bob.user_id, disabled=False)
    await bob.sign_in("bob")

    assert admin.http.delete(f"{users}/{cyd.user_id}").status_code == 200
    await cyd.refused("GET", "/user/me", status=401, error="UserTokenExpiredException")
    assert len(admin.http.get(users).json()["data"]["items"]) == 2
    assert_error(admin.http.delete(f"{users}/{cyd.user_id}"), 404, "NotFoundException")


@contract("managing users")
@pytest.mark.parametrize("change", [{"userType": "king"}, {"colour": "red"}, {"disabled": "no"}])
async def test_an_invalid_change_of_a_user_is_refused(
    admin: Admin, new_client: Any, change: Any
) -> None:
    app = admin.create(signed_application())
    client = await new_client(app).register_user("u")

    response = admin.http.put(f"/applications/{app['id']}/users/{client.user_id}", json=change)
    assert_error(response, 400, "InvalidParametersException", *change)
