"""The redirect to a provider and back, and what connects the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from accounts_world import CALLBACK, PAGE, AccountsWorld

from nexxus.accounts.redirect_sign_in import Arrival, BeginRequest, Departure
from nexxus.accounts.sign_in import DeviceHint, NewSession
from nexxus.errors import (
    AccessDenied,
    ApplicationNotFound,
    InvalidParameters,
    UserAuthenticationFailed,
)
from nexxus.interfaces.auth_strategy import Account, Subject

pytestmark = pytest.mark.contract(
    "3. Sessions, users, devices", "accounts of an OpenID Connect provider"
)

ANN = Account(Subject("https://id.example", "1"), "ann@example.com")


@pytest.fixture(autouse=True)
def ann(world: AccountsWorld) -> None:
    world.provider.accounts["good"] = ANN


def state_of(departure: Departure) -> str:
    return parse_qs(urlsplit(departure.url).query)["state"][0]


def cookies_of(*departures: Departure) -> dict[str, str]:
    return {each.cookie.name: each.cookie.value for each in departures}


async def begin(world: AccountsWorld, name: str = "provider", **request: Any) -> Departure:
    return await world.accounts.redirects.begin(
        world.app, world.redirect_entry(name), BeginRequest(**request)
    )


async def complete(
    world: AccountsWorld,
    departure: Departure,
    *,
    code: str = "good",
    name: str = "provider",
    cookies: Mapping[str, str] | None = None,
) -> Arrival:
    return await world.accounts.redirects.complete(
        name,
        {"state": state_of(departure), "code": code},
        cookies_of(departure) if cookies is None else cookies,
    )


def session_of(arrival: Arrival) -> NewSession:
    assert isinstance(arrival.outcome, NewSession)
    return arrival.outcome


def query_of(arrival: Arrival) -> dict[str, str]:
    assert isinstance(arrival.outcome, str)
    page, query = PAGE.split("?")
    assert arrival.outcome.startswith(f"{page}?{query}&")
    found = parse_qs(urlsplit(arrival.outcome).query)
    return {name: values[0] for name, values in found.items() if name != "from"}


async def test_a_user_verified_by_the_provider_gets_a_session(world: AccountsWorld) -> None:
    signed_in = session_of(await complete(world, await begin(world)))

    assert signed_in.user.username == ANN.address
    assert (await world.identify(signed_in)).user_id == signed_in.user.id


async def test_each_sign_in_has_its_own_challenge_which_matches_on_return(
    world: AccountsWorld,
) -> None:
    for _ in range(2):
        await complete(world, await begin(world))

    assert world.provider.begun == world.provider.completed
    one, other = world.provider.begun
    assert {one.state, one.nonce, one.verifier}.isdisjoint((other.state, other.nonce))
    assert one.nonce != one.verifier
    assert one.verifier not in one.state


async def test_the_state_works_once(world: AccountsWorld) -> None:
    departure = await begin(world)
    await complete(world, departure)

    with pytest.raises(UserAuthenticationFailed, match="used before"):
        await complete(world, departure)


async def test_the_state_expires(world: AccountsWorld) -> None:
    departure = await begin(world)
    world.clock.advance(600)

    with pytest.raises(UserAuthenticationFailed, match="expired"):
        await complete(world, departure)


@pytest.mark.contract(
    "3. Sessions, users, devices", "a sign-in's state belongs to the browser that began"
)
async def test_the_state_is_bound_to_the_browser_that_began(world: AccountsWorld) -> None:
    mine, theirs = await begin(world), await begin(world)

    for cookies in ({}, cookies_of(theirs), {mine.cookie.name: "é"}):
        with pytest.raises(UserAuthenticationFailed, match="another browser"):
            await complete(world, mine, cookies=cookies)
    session_of(await complete(world, mine, cookies=cookies_of(mine, theirs)))


async def test_the_cookie_is_only_for_the_callback_and_is_removed_afterwards(
    world: AccountsWorld,
) -> None:
    departure = await begin(world)
    cookie = departure.cookie
    assert (cookie.path, cookie.secure, cookie.max_age) == (urlsplit(CALLBACK).path, True, 600)

    gone = (await complete(world, departure)).cookie

    assert (gone.name, gone.path, gone.value, gone.max_age) == (cookie.name, cookie.path, "", 0)


@pytest.mark.parametrize("text", ["", "nonsense", "a.b.c", "e30.e30.e30", "é", "\x00"])
async def test_a_forged_state_is_refused(world: AccountsWorld, text: str) -> None:
    with pytest.raises((UserAuthenticationFailed, InvalidParameters)):
        await world.accounts.redirects.complete("provider", {"state": text, "code": "good"}, {})


async def test_an_access_token_is_not_accepted_as_a_state(world: AccountsWorld) -> None:
    token = (await world.register("beth")).tokens.token

    with pytest.raises(UserAuthenticationFailed):
        await world.accounts.redirects.complete("provider", {"state": token, "code": "good"}, {})


async def test_a_state_is_valid_only_for_its_own_strategy(world: AccountsWorld) -> None:
    with pytest.raises(UserAuthenticationFailed, match="another provider"):
        await complete(world, await begin(world), name="second")


async def test_an_application_that_is_gone_is_not_found(world: AccountsWorld) -> None:
    departure = await begin(world)
    world.applications.forget("app")

    with pytest.raises(ApplicationNotFound):
        await complete(world, departure)


async def test_a_refusal_by_the_provider_uses_up_the_state(world: AccountsWorld) -> None:
    departure = await begin(world)
    with pytest.raises(UserAuthenticationFailed, match="nobody"):
        await complete(world, departure, code="bad")

    with pytest.raises(UserAuthenticationFailed, match="used before"):
        await complete(world, departure)
    assert world.accounts.sign_in.figures.failed == 1


async def test_a_new_user_chooses_a_type_that_is_not_private(world: AccountsWorld) -> None:
    with pytest.raises(AccessDenied):
        await begin(world, user_type="staff")

    signed_in = session_of(await complete(world, await begin(world, user_type="guest")))

    assert signed_in.user.user_type == "guest"


async def test_a_device_is_named_and_reused(world: AccountsWorld) -> None:
    first = session_of(await complete(world, await begin(world, device=DeviceHint(name="tv"))))
    hint = DeviceHint(id=first.device.id)
    again = session_of(await complete(world, await begin(world, device=hint)))

    assert first.device.name == "tv"
    assert again.device.id == first.device.id


# Ending at a page of the application


async def test_a_page_gets_a_code_for_the_session(world: AccountsWorld) -> None:
    hint = DeviceHint(name="tv")
    arrival = await complete(world, await begin(world, redirect=PAGE, device=hint))
    assert await world.registry.devices.of_user("app", "x") == []

    signed_in = await world.accounts.redirects.exchange(world.app, query_of(arrival)["code"])

    assert (signed_in.user.username, signed_in.device.name) == (ANN.address, "tv")
    await world.identify(signed_in)


@pytest.mark.contract("3. Sessions, users, devices", "redirect answers with a code, exchanged once")
async def test_a_code_works_once_within_a_minute_in_its_application(
    world: AccountsWorld,
) -> None:
    exchange = world.accounts.redirects.exchange
    codes = [
        query_of(await complete(world, await begin(world, redirect=PAGE)))["code"] for _ in "ab"
    ]

    with pytest.raises(UserAuthenticationFailed):
        await exchange(world.other_app, codes[0])
    await exchange(world.app, codes[0])
    with pytest.raises(UserAuthenticationFailed):
        await exchange(world.app, codes[0])
    world.clock.advance(60)
    with pytest.raises(UserAuthenticationFailed):
        await exchange(world.app, codes[1])


async def test_a_state_is_not_accepted_as_a_code(world: AccountsWorld) -> None:
    with pytest.raises(UserAuthenticationFailed):
        await world.accounts.redirects.exchange(world.app, state_of(await begin(world)))


@pytest.mark.parametrize("change", ["disable", "delete"])
async def test_a_code_is_void_once_the_user_is_disabled_or_deleted(
    world: AccountsWorld, change: str
) -> None:
    code = query_of(await complete(world, await begin(world, redirect=PAGE)))["code"]
    user = await world.records.find("app", "ann@example.com")
    assert user is not None
    if change == "delete":
        await world.accounts.users.delete(world.app, user.id)
    else:
        await world.accounts.users.administer(world.app, user.id, user_type=None, disabled=True)

    with pytest.raises(UserAuthenticationFailed):
        await world.accounts.redirects.exchange(world.app, code)


@pytest.mark.contract(
    "3. Sessions, users, devices", "a failed sign-in returns to its page as an error"
)
@pytest.mark.parametrize("failure", ["provider", "browser", "used"])
async def test_the_page_is_notified_of_a_failure(world: AccountsWorld, failure: str) -> None:
    departure = await begin(world, redirect=PAGE)
    if failure == "used":
        await complete(world, departure)

    arrival = await complete(
        world,
        departure,
        code="bad" if failure == "provider" else "good",
        cookies={} if failure == "browser" else None,
    )

    assert query_of(arrival) == {"error": "UserAuthenticationFailedException"}


@pytest.mark.parametrize("page", ["https://evil.example", f"{PAGE}&more", "", "//evil.example"])
async def test_a_page_that_the_application_does_not_name_is_refused(
    world: AccountsWorld, page: str
) -> None:
    with pytest.raises(InvalidParameters, match="redirect"):
        await begin(world, redirect=page)
