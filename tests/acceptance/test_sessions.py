"""Contract §3: sessions, users and devices."""

from __future__ import annotations

import asyncio
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

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(signed_application())


@pytest.fixture(scope="module")
def anonymous(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture
async def user(app: Any, new_client: Any) -> NexxusClient:
    client = new_client(app)
    client.username = unique("user")
    return await client.register_user(client.username)  # type: ignore[no-any-return]


def claims(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def same_device(client: NexxusClient, new_client: Any) -> NexxusClient:
    """Another holder of the same tokens."""
    twin = new_client(client.app_id)
    twin.token, twin.refresh_token = client.token, client.refresh_token
    twin.device_id, twin.user_id = client.device_id, client.user_id
    return twin  # type: ignore[no-any-return]


async def expired(client: NexxusClient) -> None:
    await client.refused("GET", "/device", status=401, error="UserTokenExpiredException")


# Signing in


@contract("a session")
async def test_registering_opens_a_session(app: Any, new_client: Any) -> None:
    client = new_client(app)
    name = unique("new")
    body = {"username": name, "password": PASSWORD, "firstName": "Ann", "age": 40}

    session = await client.ok("POST", "/user/register", body)

    assert set(session) == {"token", "refreshToken", "device", "user"}
    assert {"id", "name"} == set(session["device"])
    assert session["user"] == {"id": session["user"]["id"], "username": name}
    client.adopt(session)
    me = await client.ok("GET", "/user/me")
    assert me["details"] == {"firstName": "Ann", "age": 40}


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
async def test_an_access_token_says_whose_it_is_and_until_when(user: Any) -> None:
    claim = claims(user.token)

    assert claim["sub"] == user.user_id
    assert claim["deviceId"] == user.device_id
    assert claim["appId"] == user.app_id
    assert claim["userType"] == "default"
    assert claim["exp"] - claim["iat"] == 3600
    assert abs(claim["iat"] - time.time()) < 60


@contract("a session")
async def test_the_life_of_an_access_token_is_the_applications_choice(
    admin: Admin, new_client: Any
) -> None:
    app = admin.create(open_application(session={"jwtExpiresIn": 1}))
    client = await new_client(app).register_device()

    async def over() -> bool:
        return (await client.send("GET", "/device")).status_code == 401

    await eventually(over)
    await expired(client)
    await client.refresh()
    await client.ok("GET", "/device")


@contract("registering")
async def test_a_name_can_be_taken_once(user: Any) -> None:
    body = {"username": user.username, "password": "something else"}

    await user.refused(
        "POST", "/user/register", body, status=409, error="UserAlreadyExistsException"
    )
    await user.sign_in(user.username)


@contract("registering")
async def test_a_name_can_be_taken_once_even_at_the_same_moment(app: Any, new_client: Any) -> None:
    body = {"username": unique("rush"), "password": PASSWORD}

    answers = await asyncio.gather(
        *(new_client(app).send("POST", "/user/register", body) for _ in range(5))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


@contract("registering")
@pytest.mark.parametrize(
    "change",
    [
        {"username": None},
        {"username": ""},
        {"username": 7},
        {"password": None},
        {"password": ""},
        {"password": 7},
        {"firstName": 7},
        {"shoeSize": 44},
        {"address": {"planet": "Mars"}},
        {"$google": "x"},
    ],
)
async def test_registering_with_what_does_not_fit_is_refused(
    app: Any, new_client: Any, change: Any
) -> None:
    body = {"username": unique("odd"), "password": PASSWORD, **change}
    body = {key: value for key, value in body.items() if value is not None}

    (named,) = change
    await new_client(app).refused("POST", "/user/register", body, named)


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
@pytest.mark.parametrize("strategy", ["google", "carrier-pigeon", "refreshh"])
async def test_a_strategy_that_the_application_has_not_is_not_found(
    user: Any, strategy: str
) -> None:
    await user.refused(
        "POST", f"/auth/{strategy}", {}, status=404, error="NotFoundException", authorized=False
    )


@contract("no users where there is no auth")
async def test_without_auth_a_device_is_a_session(anonymous: Any, new_client: Any) -> None:
    client = new_client(anonymous)

    answer = await client.ok("POST", "/device/register", {"name": "tablet"})

    assert set(answer) == {"message", "device", "token", "refreshToken"}
    assert answer["device"] == {
        "id": answer["device"]["id"],
        "name": "tablet",
        "appId": anonymous["id"],
    }
    client.adopt(answer)
    await client.ok("GET", "/device")


@contract("no users where there is no auth")
async def test_without_auth_only_devices_and_subscriptions_need_a_token(
    anonymous: Any, new_client: Any
) -> None:
    client = new_client(anonymous)
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


@contract("no users where there is no auth")
async def test_a_route_that_needs_a_user_says_so_to_a_token_without_one(
    anonymous: Any, new_client: Any
) -> None:
    client = await new_client(anonymous).register_device()

    await client.refused("GET", "/user/me", error="InvalidAuthMethodException")
    await client.refused(
        "PUT", "/user/", {"patch": replace(username="x")}, error="InvalidAuthMethodException"
    )


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
async def test_with_auth_everything_needs_a_token(
    app: Any, new_client: Any, method: str, path: str, body: Any
) -> None:
    client = new_client(app)

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
async def test_a_token_whose_claims_were_tampered_with_does_not_verify(user: Any) -> None:
    head, _, signature = user.token.split(".")
    forged = {**claims(user.token), "sub": "somebody-else"}
    part = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()

    for token in (f"{head}.{part}.{signature}", f"{none}.{part}."):
        user.token = token
        await user.refused("GET", "/user/me", status=401, error="UserAuthenticationFailedException")


# Refreshing and logging out


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
async def test_a_retry_with_the_previous_refresh_token_gets_a_usable_pair(user: Any) -> None:
    body = {"refreshToken": user.refresh_token}

    await user.ok("POST", "/auth/refresh", body, authorized=False)
    user.adopt(await user.ok("POST", "/auth/refresh", body, authorized=False))

    await user.ok("GET", "/user/me")
    await user.refresh()
    await user.ok("GET", "/user/me")


@contract("refreshing")
async def test_many_tabs_may_refresh_at_once(user: Any) -> None:
    body = {"refreshToken": user.refresh_token}

    answers = await asyncio.gather(
        *(user.ok("POST", "/auth/refresh", body, authorized=False) for _ in range(5))
    )

    for answer in answers:
        user.adopt(answer)
        await user.ok("GET", "/user/me")


@contract("refreshing")
@pytest.mark.long
async def test_a_refresh_token_presented_after_its_grace_ends_the_session(user: Any) -> None:
    stolen = {"refreshToken": user.refresh_token}
    await user.refresh()
    # The grace is promised in seconds, so seconds must pass: nothing tells when it is over.
    await asyncio.sleep(11)

    await user.refused(
        "POST",
        "/auth/refresh",
        stolen,
        status=401,
        error="InvalidRefreshTokenException",
        authorized=False,
    )
    await expired(user)
    await user.refused(
        "POST",
        "/auth/refresh",
        {"refreshToken": user.refresh_token},
        status=401,
        error="InvalidRefreshTokenException",
    )


@contract("refreshing")
async def test_a_refresh_token_older_than_the_previous_one_is_theft(user: Any) -> None:
    oldest = {"refreshToken": user.refresh_token}
    await user.refresh()
    await user.refresh()

    response = await user.send("POST", "/auth/refresh", oldest, authorized=False)

    assert response.status_code == 401, response.text
    assert response.json()["error"] == "InvalidRefreshTokenException"
    await expired(user)


@contract("refreshing")
@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "x" * 5000])
async def test_an_unknown_refresh_token_is_refused(user: Any, token: str) -> None:
    response = await user.send("POST", "/auth/refresh", {"refreshToken": token})

    assert (response.status_code, response.json()["error"]) in [
        (401, "InvalidRefreshTokenException"),
        (400, "InvalidParametersException"),
    ]


@contract("refreshing")
async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(user: Any) -> None:
    await user.refused(
        "POST",
        "/auth/refresh",
        {"refreshToken": user.token},
        status=401,
        error="InvalidRefreshTokenException",
    )
    user.token = user.refresh_token
    await user.refused("GET", "/device", status=401, error="UserAuthenticationFailedException")


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


@contract("logging out")
async def test_logging_out_twice_or_with_nonsense_is_fine(user: Any) -> None:
    for token in (user.refresh_token, user.refresh_token, "nonsense"):
        answer = await user.ok("POST", "/auth/logout", {"refreshToken": token}, authorized=False)
        assert set(answer) == {"message"}


@contract("logging out")
async def test_logging_out_one_device_leaves_the_others(
    user: Any, app: Any, new_client: Any
) -> None:
    other = await new_client(app).sign_in(user.username)

    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})

    await other.ok("GET", "/user/me")


@contract("logging out")
async def test_an_ended_session_cannot_register_a_connection(user: Any) -> None:
    await user.ok("POST", "/auth/logout", {"refreshToken": user.refresh_token})
    connection = await Connection.open(user.endpoint.ws_url)
    await connection.send("register", {"token": user.token})

    frame = await connection.wait_for("error")
    assert frame["data"]["code"] in ("SESSION_ENDED", "TOKEN_EXPIRED")
    await connection.close()


# Other ends of a session


@contract("other ends of a session")
async def test_a_new_login_on_the_same_device_ends_the_former_session(
    user: Any, new_client: Any
) -> None:
    former = await same_device(user, new_client)
    await former.connect()

    await user.sign_in(user.username, device={"id": user.device_id})

    assert user.device_id == former.device_id
    assert await former.socket.wait_closed() == 4001
    await expired(former)
    await user.ok("GET", "/user/me")


@contract("other ends of a session")
async def test_where_one_login_is_allowed_the_newest_wins(admin: Admin, new_client: Any) -> None:
    app = admin.create(signed_application(auth={"allowMultipleLogin": False}))
    first = await new_client(app).register_user("single")
    await first.connect()

    second = await new_client(app).sign_in("single")

    assert await first.socket.wait_closed() == 4001
    await expired(first)
    await second.ok("GET", "/user/me")


@contract("other ends of a session")
async def test_a_changed_password_ends_the_users_other_sessions(
    user: Any, app: Any, new_client: Any
) -> None:
    other = await new_client(app).sign_in(user.username)
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


# The user


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
async def test_a_change_of_the_user_shows_after_the_next_refresh(user: Any) -> None:
    answer = await user.ok(
        "PUT", "/user/", {"patch": replace(details__firstName="Ann", details__age=41)}
    )
    assert set(answer) == {"message"}
    before = await user.ok("GET", "/user/me")
    assert "firstName" not in before["details"]

    await user.refresh()

    assert (await user.ok("GET", "/user/me"))["details"] == {"firstName": "Ann", "age": 41}


@contract("the user's own account")
async def test_a_renamed_user_signs_in_with_the_new_name(user: Any) -> None:
    name = unique("renamed")

    await user.ok("PUT", "/user/", {"patch": {"op": "replace", "path": "username", "value": name}})

    await user.sign_in(name)
    await user.refused(
        "POST",
        "/auth/local",
        {"username": user.username, "password": PASSWORD},
        status=401,
        error="UserAuthenticationFailedException",
    )


@contract("the user's own account")
@pytest.mark.parametrize("op", ["append", "prepend"])
async def test_a_password_can_only_be_replaced(user: Any, op: str) -> None:
    patch = {"op": op, "path": "password", "value": "x" * 20}
    await user.refused("PUT", "/user/", {"patch": patch}, "password")
    await user.sign_in(user.username)


@contract("the user's own account")
async def test_a_password_can_be_changed_though_the_details_fit_no_longer(
    admin: Admin, new_client: Any
) -> None:
    document = signed_application()
    app = admin.create(document)
    user = await new_client(app).register_user("u", firstName="Ann")
    auth = {**document["auth"], "userDetailSchema": {"default": {"nick": {"type": "string"}}}}
    admin.put(app["id"], {"auth": auth})

    await user.ok("PUT", "/user/", {"patch": replace(password="battery staple")})

    await user.sign_in("u", "battery staple")
    await user.refused("PUT", "/user/", {"patch": replace(details__nick="A")}, "firstName")
    await user.ok("PUT", "/user/", {"patch": replace(details={"nick": "A"})})


@contract("the user's own account")
async def test_a_name_that_is_taken_cannot_be_chosen(user: Any, app: Any, new_client: Any) -> None:
    other = unique("other")
    await new_client(app).register_user(other)

    await user.refused(
        "PUT",
        "/user/",
        {"patch": replace(username=other)},
        status=409,
        error="UserAlreadyExistsException",
    )


@contract("the user's own account")
@pytest.mark.parametrize(
    "path",
    [
        *("userType", "authProviders", "devices", "createdAt", "updatedAt", "id", "appId"),
        *("details.$google", "details.unknown", "nonsense", "details"),
    ],
)
async def test_what_a_user_may_not_change_is_refused(user: Any, path: str) -> None:
    patch = {"op": "replace", "path": path, "value": "x"}

    await user.refused("PUT", "/user/", {"patch": patch}, path)


# Devices


@contract("devices")
async def test_a_device_describes_itself(user: Any) -> None:
    device = await user.ok("GET", "/device")

    assert set(device) <= {
        *("id", "appId", "name", "userId", "type", "status", "transport", "lastSeen"),
        "subscriptions",
    }
    assert device["id"] == user.device_id
    assert device["appId"] == user.app_id
    assert device["userId"] == user.user_id
    assert device["type"] in ("volatile", "persistent", "unknown")
    assert device.get("status", "unknown") in ("online", "offline", "unknown")
    assert device["subscriptions"] == []


@contract("devices")
async def test_a_device_was_last_seen_when_it_was_connected(user: Any) -> None:
    async def last_seen() -> str:
        device = await user.ok("GET", "/device")
        return str(device["lastSeen"])

    registered = await last_seen()
    await asyncio.to_thread(time.sleep, 1.1)  # the time has whole seconds
    await user.connect()
    await user.drop()

    async def is_offline() -> bool:
        return (await user.ok("GET", "/device"))["status"] == "offline"

    await eventually(is_offline)
    assert await last_seen() > registered


@contract("devices")
async def test_a_connected_device_is_online_with_its_subscriptions(user: Any) -> None:
    await user.connect()
    view = await user.subscribe("task")

    device = await user.ok("GET", "/device")

    assert device["type"] == "volatile"
    assert device["status"] == "online"
    assert isinstance(device["transport"], str)
    assert view.channel_id in json.dumps(device["subscriptions"])


@contract("devices")
async def test_a_device_that_has_gone_is_offline(user: Any) -> None:
    await user.connect()
    await user.socket.close()

    async def offline() -> bool:
        return (await user.ok("GET", "/device")).get("status") == "offline"

    await eventually(offline)


@contract("devices")
async def test_a_device_is_renamed(user: Any) -> None:
    assert set(await user.ok("PUT", "/device", {"name": "kitchen"})) == {"message"}

    assert (await user.ok("GET", "/device"))["name"] == "kitchen"
    await user.refused("PUT", "/device", {"name": 7}, "name")
    await user.refused("PUT", "/device", {}, "name")


@contract("devices")
async def test_the_devices_of_a_user_are_listed(user: Any, app: Any, new_client: Any) -> None:
    other = await new_client(app).sign_in(user.username)
    await new_client(app).register_user(unique("stranger"))

    listed = await user.ok("GET", "/device/list")

    assert set(listed) == {"devices"}
    assert {device["id"] for device in listed["devices"]} == {user.device_id, other.device_id}


@contract("devices")
async def test_a_signed_in_user_adds_a_device(user: Any, new_client: Any) -> None:
    answer = await user.ok("POST", "/device/register", {"name": "watch"})

    assert answer["device"] == {
        "id": answer["device"]["id"],
        "name": "watch",
        "userId": user.user_id,
        "appId": user.app_id,
    }
    watch = new_client(user.app_id).adopt(answer)
    assert (await watch.ok("GET", "/user/me"))["id"] == user.user_id
    await user.ok("GET", "/user/me")


@contract("devices")
async def test_a_login_reuses_the_users_own_device_and_no_other(
    user: Any, app: Any, new_client: Any
) -> None:
    own = user.device_id
    foreign = await new_client(app).register_user(unique("other"))

    await user.sign_in(user.username, device={"id": own})
    assert user.device_id == own
    for stale in (foreign.device_id, "no-such-device"):
        await user.sign_in(user.username, device={"id": stale})
        assert user.device_id not in (own, stale)
    await foreign.ok("GET", "/device")
