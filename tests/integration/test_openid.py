"""Signing in with an account of a real OpenID Connect provider (contract §3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from client import Admin, NexxusClient, assert_error, unique
from documents import open_application
from openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, install
from server import Endpoint

pytestmark = pytest.mark.contract(
    "3. Sessions, users, devices", "accounts of an OpenID Connect provider"
)


@pytest.fixture(scope="module")
def provider(endpoint: Endpoint) -> Iterator[OpenIdProvider]:
    install()
    provider = OpenIdProvider(f"{endpoint.url}/auth/google/callback")
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def app(admin: Admin, endpoint: Endpoint, provider: OpenIdProvider) -> Any:
    return admin.create(openid_application(endpoint, provider))


def openid_application(endpoint: Endpoint, provider: OpenIdProvider) -> Any:
    google = {
        "clientID": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
        "callbackURL": f"{endpoint.url}/auth/google/callback",
        "issuer": provider.issuer,
    }
    return open_application(
        id=unique("openid"),
        auth={
            "strategies": {"local": {}, "google": google},
            "userTypes": {"default": {}, "staff": {"private": True}, "guest": {}},
        },
    )


@pytest.fixture
def client(app: Any, new_client: Any) -> NexxusClient:
    return new_client(app)  # type: ignore[no-any-return]


async def begin(client: NexxusClient, body: Any = None) -> str:
    """Where the browser is sent."""
    response = await client.send("POST", "/auth/google", body if body is not None else {})
    assert response.status_code == 302, response.text
    return response.headers["location"]


async def finish(client: NexxusClient, callback: str) -> httpx.Response:
    """The callback, called as a browser does: without any of our headers."""
    return await client.http.get(callback)


async def sign_in(
    client: NexxusClient, provider: OpenIdProvider, account: str, body: Any = None
) -> Any:
    response = await finish(client, await provider.sign_in(await begin(client, body), account))
    assert response.status_code == 200, response.text
    client.adopt(response.json())
    return response.json()


async def test_an_account_of_the_provider_opens_a_session(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    email = f"{unique('ann')}@example.com"

    session = await sign_in(client, provider, email)

    assert set(session) == {"token", "refreshToken", "device", "user"}
    me = await client.ok("GET", "/user/me")
    assert me["authProviders"] == ["google"]
    assert me["username"] == email
    await client.create("task", title="x")
    await client.refresh()


async def test_the_same_account_is_the_same_user(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    email = f"{unique('ann')}@example.com"

    first = await sign_in(client, provider, email)
    second = await sign_in(client, provider, email)

    assert first["user"] == second["user"]
    assert first["device"]["id"] != second["device"]["id"]


async def test_a_browser_may_begin_with_a_plain_link(
    client: NexxusClient, provider: OpenIdProvider, app: Any
) -> None:
    url = f"{client.endpoint.url}/auth/google?appId={app['id']}"
    response = await client.http.get(url)
    assert response.status_code == 302, response.text

    callback = await provider.sign_in(response.headers["location"], f"{unique('ann')}@example.com")

    assert (await finish(client, callback)).status_code == 200


async def test_a_verified_address_links_to_the_account_that_has_it(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    email = f"{unique('ann')}@example.com"
    await client.register_user(email)
    registered = client.user_id

    await sign_in(client, provider, email)

    assert client.user_id == registered
    assert set((await client.ok("GET", "/user/me"))["authProviders"]) == {"local", "google"}
    await client.sign_in(email)


async def test_an_address_that_is_not_verified_is_refused(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    email = f"unverified-{unique('eve')}@example.com"
    await client.register_user(email)

    callback = await provider.sign_in(await begin(client), email)
    response = await finish(client, callback)

    assert_error(response, 401, "UserAuthenticationFailedException")


async def test_a_user_who_refuses_at_the_provider_gets_no_session(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    callback = await provider.sign_in(await begin(client), "")

    assert_error(await finish(client, callback), 401, "UserAuthenticationFailedException")


async def test_the_state_works_once(client: NexxusClient, provider: OpenIdProvider) -> None:
    callback = await provider.sign_in(await begin(client), f"{unique('ann')}@example.com")
    assert (await finish(client, callback)).status_code == 200

    response = await finish(client, callback)

    assert response.status_code in (400, 401), response.text
    assert response.json()["error"] in (
        "InvalidParametersException",
        "UserAuthenticationFailedException",
    )


@pytest.mark.parametrize("change", ["missing", "tampered", "nonsense", "code"])
async def test_a_callback_that_is_not_ours_is_refused(
    client: NexxusClient, provider: OpenIdProvider, change: str
) -> None:
    callback = httpx.URL(
        await provider.sign_in(await begin(client), f"{unique('ann')}@example.com")
    )
    state = callback.params["state"]
    if change == "missing":
        callback = callback.copy_remove_param("state")
    elif change == "tampered":
        flipped = state[:-2] + ("AA" if not state.endswith("AA") else "BB")
        callback = callback.copy_set_param("state", flipped)
    elif change == "nonsense":
        callback = callback.copy_set_param("state", "nonsense")
    else:
        callback = callback.copy_set_param("code", "not-a-code")

    response = await finish(client, str(callback))

    assert response.status_code in (400, 401), response.text
    assert set(response.json()) >= {"error", "message", "requestId"}


async def test_a_new_account_may_choose_a_user_type_that_is_not_private(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    await sign_in(client, provider, f"{unique('ann')}@example.com", {"userType": "guest"})
    assert (await client.ok("GET", "/user/me"))["userType"] == "guest"

    await client.refused(
        "POST",
        "/auth/google",
        {"userType": "staff"},
        status=403,
        error="AccessDeniedException",
        authorized=False,
    )
    await client.refused("POST", "/auth/google", {"userTyp": "guest"}, "userTyp")


async def test_a_device_is_named_and_used_again(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    email = f"{unique('ann')}@example.com"

    first = await sign_in(client, provider, email, {"device": {"name": "browser"}})
    assert first["device"]["name"] == "browser"
    second = await sign_in(client, provider, email, {"device": {"id": first["device"]["id"]}})

    assert second["device"]["id"] == first["device"]["id"]


async def test_a_disabled_user_cannot_come_in_by_the_provider(
    client: NexxusClient, provider: OpenIdProvider, admin: Admin
) -> None:
    email = f"{unique('ann')}@example.com"
    session = await sign_in(client, provider, email)
    admin.set_user(client.app_id, session["user"]["id"], disabled=True)

    response = await finish(client, await provider.sign_in(await begin(client), email))

    assert_error(response, 401, "UserAuthenticationFailedException")


async def test_the_redirect_asks_for_no_more_than_it_needs(
    client: NexxusClient, provider: OpenIdProvider
) -> None:
    location = httpx.URL(await begin(client))

    assert location.params["client_id"] == CLIENT_ID
    assert location.params["response_type"] == "code"
    assert "openid" in location.params["scope"].split()
    assert location.params["redirect_uri"].endswith("/auth/google/callback")
    assert CLIENT_SECRET not in str(location)
    assert len(location.params["state"]) >= 16
