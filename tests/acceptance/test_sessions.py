"""Contract §3: signing in, refreshing, and the ends of a session."""

from __future__ import annotations

import base64
import json
import time
from functools import partial
from typing import Any

import pytest
from client import Admin, NexxusClient, replace, unique
from connection import Connection
from documents import open_application, signed_application
from waiting import eventually

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")
applications = partial(pytest.mark.contract, "2. Applications and schemas")

PASSWORD = "correct horse"


def claims(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def expired(client: NexxusClient) -> None:
    await client.refused("GET", "/device", status=401, error="UserTokenExpiredException")


@contract("a session")
async def test_signing_in_opens_a_session(user: Any) -> None:
    body = {"username": user.username, "password": PASSWORD, "device": {"name": "my phone"}}

    session = await user.ok("POST", "/auth/local", body, authorized=False)

    assert set(session) == {"token", "refreshToken", "device", "user"}
    assert session["user"] == {"id": user.user_id, "username": user.username}
    assert session["device"]["name"] == "my phone"
    user.adopt(session)
    await user.ok("GET", "/user/me")


@contract("a session")
async def test_an_access_token_names_its_owner_and_its_expiry(user: Any) -> None:
    claim = claims(user.token)

    assert claim["sub"] == user.user_id
    assert claim["deviceId"] == user.device_id
    assert claim["appId"] == user.app_id
    assert claim["userType"] == "default"
    assert claim["exp"] - claim["iat"] == 3600
    assert abs(claim["iat"] - time.time()) < 60


@contract("signing in")
async def test_a_wrong_password_and_an_unknown_name_look_the_same(user: Any) -> None:
    answers = []
    for name in (user.username, unique("ghost")):
        body = {"username": name, "password": "wrong"}
        answers.append(
            await user.refused(
                "POST",
                "/auth/local",
                body,
                status=401,
                error="UserAuthenticationFailedException",
                authorized=False,
            )
        )

    assert answers[0]["message"] == answers[1]["message"]


@contract("signing in")
@pytest.mark.parametrize("strategy", ["google", "refreshh"])
async def test_an_unknown_strategy_is_not_found(user: Any, strategy: str) -> None:
    await user.refused(
        "POST", f"/auth/{strategy}", {}, status=404, error="NotFoundException", authorized=False
    )


@contract("no users without auth")
async def test_without_auth_only_devices_and_subscriptions_need_a_token(
    app: Any, new_client: Any
) -> None:
    client = new_client(app)
    task = await client.create("task", title="x")
    await client.get("task", task["id"])
    await client.update("task", task["id"], replace(points=1))
    await client.delete("task", task["id"])
    assert await client.search("task", filter={"id": task["id"]}) == []
    assert await client.count("task", filter={"id": task["id"]}) == 0
    written = await client.create("task", title="x", wait=False)
    await client.decided(written["operationId"])

    for method, path, body in [
        ("GET", "/device", None),
        ("PUT", "/device", {"name": "x"}),
        ("GET", "/device/list", None),
        ("POST", "/subscription/", {"model": "task"}),
        ("POST", "/subscription/", {"model": "task", "getOnly": True}),
        ("DELETE", "/subscription/", {"model": "task"}),
    ]:
        await client.refused(method, path, body, status=401, error="NoAuthPresentException")


@contract("with auth, everything needs a session")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/model/task", {"title": "x"}),
        ("GET", "/model/task/x", None),
        ("PUT", "/model/task/x", {"patch": replace(title="x")}),
        ("DELETE", "/model/task/x", None),
        ("POST", "/model/task/search", {}),
        ("POST", "/model/count", {"type": "task"}),
        ("GET", "/operation/x", None),
        ("GET", "/user/me", None),
        ("PUT", "/user/", {"patch": replace(username="x")}),
        ("POST", "/device/register", {"name": "x"}),
        ("POST", "/device/register", {}),
        ("GET", "/device", None),
        ("GET", "/device/list", None),
        ("POST", "/subscription/", {"model": "task"}),
    ],
)
async def test_with_auth_every_other_route_needs_a_token(
    signed: Any, new_client: Any, method: str, path: str, body: Any
) -> None:
    client = new_client(signed)

    await client.refused(method, path, body, status=401, error="NoAuthPresentException")
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    await client.refused(
        method, path, body, status=401, error="NoAuthPresentException", headers=basic
    )
    for token in ("nonsense", "a.b.c", "e30.e30.e30"):
        await client.refused(
            method,
            path,
            body,
            status=401,
            error="UserAuthenticationFailedException",
            headers={"Authorization": f"Bearer {token}"},
        )


@contract("with auth, everything needs a session")
async def test_a_token_with_changed_claims_does_not_verify(user: Any) -> None:
    head, _, signature = user.token.split(".")
    forged = {**claims(user.token), "sub": "somebody-else"}
    part = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()

    for token in (f"{head}.{part}.{signature}", f"{none}.{part}."):
        user.token = token
        await user.refused("GET", "/user/me", status=401, error="UserAuthenticationFailedException")


@contract("refreshing")
async def test_refreshing_rotates_both_tokens(user: Any) -> None:
    before = (user.token, user.refresh_token)

    body = {"refreshToken": user.refresh_token}
    answer = await user.ok("POST", "/auth/refresh", body, authorized=False)

    assert set(answer) == {"token", "refreshToken"}
    assert answer["refreshToken"] != before[1]
    assert claims(answer["token"])["deviceId"] == user.device_id
    user.adopt(answer)
    await user.ok("GET", "/user/me")


@contract("refreshing")
async def test_a_refresh_token_older_than_the_previous_one_is_theft(user: Any) -> None:
    oldest = {"refreshToken": user.refresh_token}
    await user.refresh()
    await user.refresh()

    response = await user.send("POST", "/auth/refresh", oldest, authorized=False)

    assert response.status_code == 401, response.text
    assert response.json()["error"] == "InvalidRefreshTokenException"
    await expired(user)


@contract("logging out")
async def test_logging_out_ends_the_session_its_connection_and_its_subscriptions(
    user: Any,
) -> None:
    await user.connect()
    await user.subscribe("task")

    answer = await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})

    assert set(answer) == {"message"}
    assert await user.socket.wait_closed() == 4001
    await expired(user)
    await user.refused(
        "POST",
        "/auth/refresh",
        {"refreshToken": user.refresh_token},
        status=401,
        error="InvalidRefreshTokenException",
    )
    former = user.device_id
    await user.sign_in(user.username, device={"id": former})
    assert user.device_id == former
    assert (await user.ok("GET", "/device"))["subscriptions"] == []


@contract("a new login on a device leaves its connection")
async def test_signing_in_again_replaces_the_session_and_leaves_the_connection(
    user: Any, signed: Any, new_client: Any
) -> None:
    await user.connect()
    view = await user.subscribe("task", limit=100)
    former = user.token

    await user.sign_in(user.username, device={"id": user.device_id})

    current, user.token = user.token, former
    await expired(user)
    user.token = current
    writer = await new_client(signed).register_user(unique("writer"))
    task = await writer.create("task", title="before the connection moved on")
    await eventually(lambda: task["id"] in view.items)
    await user.socket.send("refresh_access_token", {"token": user.token})
    await user.socket.wait_for("refresh_access_token")
    task = await writer.create("task", title="after it")
    await eventually(lambda: task["id"] in view.items)

    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})
    assert await user.socket.wait_closed() == 4001


@contract("a new login on a device leaves its connection")
async def test_the_end_of_the_new_session_closes_a_connection_of_the_former_one(user: Any) -> None:
    await user.connect()
    await user.sign_in(user.username, device={"id": user.device_id})

    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})

    assert await user.socket.wait_closed() == 4001


@contract("logging out")
async def test_an_ended_session_cannot_register_a_connection(user: Any) -> None:
    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})
    connection = await Connection.open(user.endpoint.ws_url)
    await connection.send("register", {"token": user.token})

    frame = await connection.wait_for("error")
    assert frame["data"]["code"] in ("SESSION_ENDED", "TOKEN_EXPIRED")
    await connection.close()


@applications("a new signing secret ends every session")
async def test_a_replaced_signing_secret_ends_every_session(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application())
    client = await new_client(app).register_user("ann")
    await client.connect()
    await client.subscribe("task")

    admin.put(app["id"], {"signingSecret": "another-signing-secret-of-a-good-length"})

    assert await client.socket.wait_closed() == 4001
    await client.refused("GET", "/user/me", status=401, error="UserAuthenticationFailedException")
    refreshing = {"refreshToken": client.refresh_token}
    await client.refused(
        "POST", "/auth/refresh", refreshing, status=401, error="InvalidRefreshTokenException"
    )
    await client.sign_in("ann", device={"id": client.device_id})
    assert (await client.ok("GET", "/device"))["subscriptions"] == []


@applications("sessions without a user end when auth is added")
async def test_sessions_without_a_user_end_when_auth_is_added(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application())
    client = await new_client(app).register_device()
    await client.connect()
    await client.subscribe("task")

    admin.put(app["id"], {"auth": {"strategies": {"local": {}}}})

    assert await client.socket.wait_closed() == 4001
    await expired(client)
    refreshing = {"refreshToken": client.refresh_token}
    await client.refused(
        "POST", "/auth/refresh", refreshing, status=401, error="InvalidRefreshTokenException"
    )


@contract("other ends of a session")
async def test_a_changed_password_ends_the_users_other_sessions(
    user: Any, signed: Any, new_client: Any
) -> None:
    other = await new_client(signed).sign_in(user.username)
    await other.connect()

    await user.ok("PUT", "/user/", {"patch": replace(password="battery staple")})

    assert await other.socket.wait_closed() == 4001
    await expired(other)
    await user.ok("GET", "/user/me")
    await other.sign_in(user.username, "battery staple")
    await other.refused(
        "POST",
        "/auth/local",
        {"username": user.username, "password": PASSWORD},
        status=401,
        error="UserAuthenticationFailedException",
    )
