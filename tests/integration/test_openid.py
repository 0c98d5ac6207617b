"""Signing in with an account of a real OpenID Connect provider (contract §3).

What ties the way there to the way back, and which user belongs to an account, is shown by
``unit/accounts``; what is believed of a provider by ``unit/adapters/openid_connect``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient, assert_error, new_http, unique
from documents import open_application
from openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, install
from server import Endpoint

pytestmark = pytest.mark.contract(
    "3. Sessions, users, devices", "accounts of an OpenID Connect provider"
)

PAGE = "https://app.example/signed-in"


@pytest.fixture(scope="module")
def provider(endpoint: Endpoint) -> Iterator[OpenIdProvider]:
    install()
    provider = OpenIdProvider(f"{endpoint.url}/auth/google/callback")
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def app(admin: Admin, endpoint: Endpoint, provider: OpenIdProvider) -> Any:
    google = {
        "clientID": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
        "callbackURL": f"{endpoint.url}/auth/google/callback",
        "redirectURLs": [PAGE],
        "issuer": provider.issuer,
    }
    auth = {"strategies": {"local": {}, "google": google}}
    return admin.create(open_application(id=unique("openid"), auth=auth))


@pytest.fixture
def client(app: Any, new_client: Any) -> NexxusClient:
    return new_client(app)  # type: ignore[no-any-return]


@pytest.fixture
def email() -> str:
    return f"{unique('ann')}@example.com"


async def begin(client: NexxusClient, body: Any = None) -> str:
    """Where the browser is sent."""
    response = await client.send("POST", "/auth/google", body)
    assert response.status_code == 302, response.text
    return response.headers["location"]


async def finish(client: NexxusClient, callback: str) -> httpx2.Response:
    """The callback, called as the browser that began does: with its cookies, no headers of ours."""
    return await client.http.get(callback)


async def sign_in(client: NexxusClient, provider: OpenIdProvider, account: str) -> Any:
    response = await finish(client, await provider.sign_in(await begin(client), account))
    assert response.status_code == 200, response.text
    client.adopt(response.json())
    return response.json()


async def test_an_account_of_the_provider_opens_a_session(
    client: NexxusClient, provider: OpenIdProvider, email: str
) -> None:
    session = await sign_in(client, provider, email)

    assert set(session) == {"token", "refreshToken", "device", "user"}
    me = await client.ok("GET", "/user/me")
    assert me["authProviders"] == ["google"]
    assert me["username"] == email
    await client.create("task", title="x")
    await client.refresh()


async def test_a_browser_begins_with_a_link_and_ends_at_a_page_of_the_application(
    client: NexxusClient, provider: OpenIdProvider, app: Any, email: str
) -> None:
    link = httpx2.URL(
        f"{client.endpoint.url}/auth/google", params={"appId": app["id"], "redirect": PAGE}
    )
    begun = await client.http.get(link)
    assert begun.status_code == 302, begun.text

    ended = await finish(client, await provider.sign_in(begun.headers["location"], email))

    assert ended.status_code == 302, ended.text
    page = httpx2.URL(ended.headers["location"])
    assert str(page.copy_with(query=None)) == PAGE
    session = await client.ok("POST", "/auth/exchange", {"code": page.params["code"]})
    assert session["user"]["username"] == email
    client.adopt(session)
    await client.ok("GET", "/user/me")


async def test_another_browser_cannot_finish_the_sign_in(
    client: NexxusClient, provider: OpenIdProvider, email: str
) -> None:
    callback = await provider.sign_in(await begin(client), email)

    async with new_http() as another:
        refused = await another.get(callback)

    assert_error(refused, 401, "UserAuthenticationFailedException", "another browser")
    assert (await finish(client, callback)).status_code == 200
    assert_error(await finish(client, callback), 401, "UserAuthenticationFailedException")


async def test_how_to_begin_is_checked(client: NexxusClient) -> None:
    await client.refused("POST", "/auth/google", {"userTyp": "guest"}, "userTyp")
    await client.refused("POST", "/auth/google", {"redirect": "https://evil.example"}, "redirect")
    await client.refused("GET", "/auth/local", status=405, error="MethodNotAllowedException")
