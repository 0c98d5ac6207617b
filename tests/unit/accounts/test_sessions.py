"""Sessions: their begin, refreshing, theft, and the ways they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from accounts_world import AccountsWorld

from nexxus.accounts.sign_in import NewSession
from nexxus.accounts.user_records import User
from nexxus.cluster.messages import SessionEnded, gateway_mailbox
from nexxus.domain.identity import Identity
from nexxus.errors import (
    InvalidRefreshToken,
    NoAuthPresent,
    ServiceUnavailable,
    UserAuthenticationFailed,
    UserTokenExpired,
)

contract = partial(pytest.mark.contract, "3. Sessions, users, devices")


@pytest.fixture
async def single(tmp_path: Path) -> AsyncIterator[AccountsWorld]:
    """An application in which a user may be signed in only once."""
    world = AccountsWorld(tmp_path, allowMultipleLogin=False)
    await world.open()
    yield world
    await world.close()


async def refresh(world: AccountsWorld, refresh_token: str) -> Any:
    return await world.accounts.sessions.refresh(world.app, refresh_token)


async def is_over(world: AccountsWorld, session: NewSession) -> bool:
    """Return whether a session has ended with everything that belongs to it."""
    device_id = session.device.id
    return (
        not await world.is_live(session)
        and await world.registry.subscriptions.of_device("app", device_id) == []
        and any(message.device_id == device_id for message in world.peers.messages)
    )


# Access tokens


@contract("a session")
async def test_a_token_names_its_owner_and_its_expiry(world: AccountsWorld) -> None:
    session = await world.register("ann", firstName="Ann")

    identity = await world.identify(session)

    assert identity.user_id == session.user.id
    assert identity.device_id == session.device.id
    assert identity.user_type == "default"
    assert identity.expires_at == world.clock.now + 3600
    assert identity.claims["details"] == {"firstName": "Ann"}


@contract("a session")
async def test_a_token_expires_even_if_its_verification_was_cached(world: AccountsWorld) -> None:
    session = await world.register("ann")
    world.clock.advance(3599)
    await world.identify(session)
    world.clock.advance(1)

    for _ in range(2):
        with pytest.raises(UserTokenExpired):
            await world.identify(session)


@contract("a session")
async def test_a_session_of_a_device_without_a_user_has_no_user(world: AccountsWorld) -> None:
    world.app.auth = None
    device = await world.accounts.devices.register(world.app, "sensor", None)
    tokens = await world.accounts.sessions.begin(world.app, device, None)

    identity = await world.accounts.sessions.verify("app", tokens.token)

    assert (identity.device_id, identity.user_id) == (device.id, None)
    assert (await refresh(world, tokens.refresh_token)).token != ""


@pytest.mark.contract("2. Applications and schemas", "a new signing secret ends every session")
async def test_a_changed_secret_invalidates_cached_verifications(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann")
    await world.identify(session)
    world.app.signing_secret = "another-signing-secret-of-a-good-length"

    world.accounts.sessions.forget_tokens("app")

    with pytest.raises(UserAuthenticationFailed):
        await world.identify(session)


@pytest.mark.contract("2. Applications and schemas", "a new signing secret ends every session")
async def test_a_session_ends_with_the_secret_even_if_its_token_is_verified_already(
    world: AccountsWorld,
) -> None:
    identity = await world.identify(await world.register("ann"))
    world.app.signing_secret = "another-signing-secret-of-a-good-length"

    with pytest.raises(UserTokenExpired):
        await world.accounts.sessions.require_live(identity)


async def test_an_identity_without_a_session_is_refused(world: AccountsWorld) -> None:
    with pytest.raises(NoAuthPresent):
        await world.accounts.sessions.require_live(Identity("app"))


# Refreshing


@contract("refreshing")
async def test_refreshing_rotates_both_tokens(world: AccountsWorld) -> None:
    session = await world.register("ann")

    pair = await refresh(world, session.tokens.refresh_token)

    assert pair.refresh_token != session.tokens.refresh_token
    identity = await world.accounts.sessions.verify("app", pair.token)
    assert identity.device_id == session.device.id


@contract("refreshing")
async def test_the_next_token_has_the_users_current_data(world: AccountsWorld) -> None:
    session = await world.register("ann")
    await world.records.rename(session.user, "beth")

    pair = await refresh(world, session.tokens.refresh_token)

    identity = await world.accounts.sessions.verify("app", pair.token)
    assert identity.claims["username"] == "beth"


@contract("refreshing")
async def test_a_retry_within_the_grace_gets_the_same_pair(world: AccountsWorld) -> None:
    session = await world.register("ann")
    first = await refresh(world, session.tokens.refresh_token)
    world.clock.advance(10)

    again = await refresh(world, session.tokens.refresh_token)

    assert again.refresh_token == first.refresh_token
    assert await refresh(world, again.refresh_token)


@contract("refreshing")
async def test_tabs_that_refresh_concurrently_get_the_same_refresh_token(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann")

    pairs = await asyncio.gather(*(refresh(world, session.tokens.refresh_token) for _ in range(5)))

    assert len({pair.refresh_token for pair in pairs}) == 1
    for pair in pairs:
        await world.accounts.sessions.verify("app", pair.token)


@contract("refreshing")
async def test_after_the_grace_period_a_former_refresh_token_counts_as_stolen(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann")
    await world.connect(session)
    pair = await refresh(world, session.tokens.refresh_token)
    world.clock.advance(10.1)

    with pytest.raises(InvalidRefreshToken, match="used before"):
        await refresh(world, session.tokens.refresh_token)

    assert await is_over(world, session)
    with pytest.raises(InvalidRefreshToken):
        await refresh(world, pair.refresh_token)


@contract("refreshing")
async def test_a_refresh_token_older_than_the_former_one_counts_as_stolen(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann")
    pair = await refresh(world, session.tokens.refresh_token)
    await refresh(world, pair.refresh_token)

    with pytest.raises(InvalidRefreshToken):
        await refresh(world, session.tokens.refresh_token)

    assert not await world.is_live(session)


@contract("refreshing")
async def test_refreshing_does_not_extend_a_session(world: AccountsWorld) -> None:
    session = await world.register("ann")
    token = session.tokens.refresh_token
    for _ in range(29):
        world.clock.advance(86_400)
        token = (await refresh(world, token)).refresh_token
    world.clock.advance(86_400)

    with pytest.raises(InvalidRefreshToken, match="ended"):
        await refresh(world, token)


@contract("refreshing")
@pytest.mark.parametrize("change", ["disabled", "deleted"])
async def test_a_disabled_or_deleted_user_gets_no_next_token(
    world: AccountsWorld, change: str
) -> None:
    session = await world.register("ann")
    if change == "disabled":
        await world.records.change(session.user, disabled)
    else:
        await world.records.delete(session.user)

    with pytest.raises(InvalidRefreshToken):
        await refresh(world, session.tokens.refresh_token)


@contract("refreshing")
async def test_only_the_hash_of_a_refresh_token_is_stored(world: AccountsWorld) -> None:
    session = await world.register("ann")

    (stored,) = await world.registry.sessions.of_user("app", session.user.id)

    assert session.tokens.refresh_token not in str(stored)
    assert len(stored.refresh_hash) == 64


# Ending


@contract("logging out")
async def test_logging_out_ends_the_session_its_connection_and_its_subscriptions(
    world: AccountsWorld,
) -> None:
    session, other = await world.register("ann"), await world.sign_in("ann")
    await world.connect(session)

    await world.accounts.sessions.log_out(world.app, session.tokens.refresh_token)

    assert await is_over(world, session)
    (stored,) = await world.registry.sessions.of_user("app", session.user.id)
    (ended,) = world.peers.messages
    assert ended == SessionEnded("app", session.device.id, ended.session_id)
    assert ended.session_id != stored.id
    assert world.peers.mailboxes == [gateway_mailbox("websockets", "n1")]
    assert await world.is_live(other)


@contract("logging out")
@pytest.mark.parametrize("token", ["again", "nonsense", "a.1.b"])
async def test_logging_out_without_a_session_does_nothing(world: AccountsWorld, token: str) -> None:
    session = await world.register("ann")
    if token == "again":
        token = session.tokens.refresh_token
        await world.accounts.sessions.log_out(world.app, token)

    await world.accounts.sessions.log_out(world.app, token)


@contract("other ends of a session")
async def test_a_new_login_on_the_same_device_replaces_the_session_and_leaves_the_connection(
    world: AccountsWorld,
) -> None:
    former = await world.register("ann")
    await world.connect(former)

    session = await world.sign_in("ann", device={"id": former.device.id})

    assert session.device.id == former.device.id
    assert not await world.is_live(former)
    assert await world.is_live(session)
    assert world.peers.messages == []


@contract("other ends of a session")
async def test_if_one_login_is_allowed_the_newest_wins(single: AccountsWorld) -> None:
    first = await single.register("ann")
    await single.connect(first)

    second = await single.sign_in("ann")
    added = await single.accounts.users.add_device(
        single.app, await single.identify(second), "watch"
    )

    assert await is_over(single, first)
    assert await single.is_live(second), "one more device is no login"
    assert await single.is_live(added)


@contract("other ends of a session")
async def test_a_changed_password_ends_the_users_other_sessions(world: AccountsWorld) -> None:
    session, other = await world.register("ann"), await world.sign_in("ann")
    await world.connect(other)
    patch = {"op": "replace", "path": "password", "value": "battery staple"}

    await world.accounts.users.change(world.app, await world.identify(session), patch)

    assert await is_over(world, other)
    assert await world.is_live(session)
    await world.sign_in("ann", "battery staple")
    with pytest.raises(UserAuthenticationFailed):
        await world.sign_in("ann")


@contract("other ends of a session")
@pytest.mark.parametrize("change", [{"disabled": True}, {"user_type": "staff"}])
async def test_a_change_by_an_administrator_ends_all_sessions(
    world: AccountsWorld, change: dict[str, Any]
) -> None:
    sessions = [await world.register("ann"), await world.sign_in("ann")]
    for session in sessions:
        await world.connect(session)

    await administer(world, sessions[0].user, **change)

    for session in sessions:
        assert await is_over(world, session)


@contract("other ends of a session")
async def test_a_change_to_the_same_value_ends_no_session(world: AccountsWorld) -> None:
    user = (await world.register("ann")).user
    await administer(world, user, user_type="staff")
    session = await world.sign_in("ann")

    await administer(world, user)
    await administer(world, user, user_type="staff")
    await administer(world, user, disabled=False)

    assert await world.is_live(session)


async def administer(world: AccountsWorld, user: User, **change: Any) -> None:
    terms = {"user_type": None, "disabled": None, **change}
    await world.accounts.users.administer(world.app, user.id, **terms)


def disabled(user: User) -> User:
    return msgspec.structs.replace(user, disabled=True)


# Ending while the node of a device cannot be notified


async def end_by(world: AccountsWorld, session: NewSession, means: str) -> None:
    """End a session in one of several ways."""
    users, sessions, token = (
        world.accounts.users,
        world.accounts.sessions,
        session.tokens.refresh_token,
    )
    if means == "logging out":
        await sessions.log_out(world.app, token)
    elif means == "theft":
        await refresh(world, token)
    elif means == "disabling":
        await administer(world, session.user, disabled=True)
    elif means == "another type":
        await administer(world, session.user, user_type="staff")
    else:
        await users.delete(world.app, session.user.id)


@contract("other ends of a session")
@pytest.mark.parametrize(
    "means",
    ["logging out", "theft", "disabling", "another type", "deleting the user"],
)
async def test_an_end_that_did_not_reach_the_node_is_completed_by_the_next_attempt(
    world: AccountsWorld, means: str
) -> None:
    session = await world.register("ann")
    await world.connect(session)
    if means == "theft":
        pair = await refresh(world, session.tokens.refresh_token)
        await refresh(world, pair.refresh_token)
    world.peers.failure = ServiceUnavailable("the broker is away")

    with pytest.raises(ServiceUnavailable):
        await end_by(world, session, means)
    assert not await world.is_live(session), "its tokens are refused at once"
    assert not await is_over(world, session)

    world.peers.failure = None
    if means == "theft":
        with pytest.raises(InvalidRefreshToken):
            await end_by(world, session, means)
    else:
        await end_by(world, session, means)
    assert await is_over(world, session)


@contract("other ends of a session")
async def test_refreshing_a_session_that_is_ending_completes_its_end(
    world: AccountsWorld,
) -> None:
    session = await world.register("ann")
    await world.connect(session)
    world.peers.failure = ServiceUnavailable("the broker is away")
    with pytest.raises(ServiceUnavailable):
        await end_by(world, session, "logging out")
    with pytest.raises(ServiceUnavailable):
        await refresh(world, session.tokens.refresh_token)
    world.peers.failure = None

    with pytest.raises(InvalidRefreshToken):
        await refresh(world, session.tokens.refresh_token)

    assert await is_over(world, session)


@contract("other ends of a session")
async def test_a_concurrent_refresh_does_not_revive_an_ended_session(
    world: AccountsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await world.register("ann")
    token = session.tokens.refresh_token
    rotate = world.registry.sessions.rotate

    async def rotate_after_the_end(*arguments: Any, **options: Any) -> bool:
        monkeypatch.setattr(world.registry.sessions, "rotate", rotate)
        await world.accounts.sessions.log_out(world.app, token)
        return await rotate(*arguments, **options)

    monkeypatch.setattr(world.registry.sessions, "rotate", rotate_after_the_end)

    with pytest.raises(InvalidRefreshToken):
        await refresh(world, token)

    assert not await world.is_live(session)
