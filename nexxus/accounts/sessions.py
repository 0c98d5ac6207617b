"""Sessions: begun by a sign-in or a device, kept alive by refreshing, ended in many ways."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from nexxus.accounts.tokens import (
    application_named_in,
    derive_refresh_token,
    hash_refresh_token,
    key_id,
    read_refresh_token,
    sign_access_token,
    verify_access_token,
)
from nexxus.accounts.user_records import User, UserRecords
from nexxus.applications.applications import Applications
from nexxus.cluster.messages import SessionEnded, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.application import Application
from nexxus.domain.identity import Identity
from nexxus.domain.objects import new_id
from nexxus.errors import InvalidRefreshToken, UserTokenExpired
from nexxus.interfaces.registry import Device, Registry, Session

_VERIFIED_TOKENS: Final = 50_000
"""How many verified tokens are remembered: verifying takes 30 µs, remembering 200 bytes."""


class Tokens(msgspec.Struct, frozen=True, rename="camel"):
    """A pair of tokens, as a client gets it."""

    token: str
    refresh_token: str


class Sessions:
    """Begins, refreshes, verifies and ends sessions.

    `refresh_grace` is in seconds; `clock` returns UNIX seconds.

    A session ends in three steps: it is marked, so that its tokens are refused at once; the
    device's node is notified and the device's subscriptions are removed; the session is removed.
    A step that fails raises `ServiceUnavailable`, and ending the session again completes it.
    """

    def __init__(
        self,
        *,
        applications: Applications,
        users: UserRecords,
        registry: Registry,
        peers: Peers,
        refresh_grace: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._applications = applications
        self._users = users
        self._registry = registry
        self._peers = peers
        self._refresh_grace = refresh_grace
        self._clock = clock
        self._verified: OrderedDict[tuple[str, str], Identity] = OrderedDict()

    async def verify(self, app_id: str, token: str) -> Identity:
        """Return who an access token stands for.

        Raises `UserTokenExpired` for a token that has expired or whose session has ended, and
        `UserAuthenticationFailed` for one that does not verify.
        """
        identity = self._read(app_id, token)
        await self.require_live(identity)
        return identity

    def read(self, token: str) -> Identity:
        """Return who a genuine token stands for, which comes without the application's name.

        Whether its session is live is not checked; that is what `require_live` is for.
        """
        return self._read(application_named_in(token), token)

    def _read(self, app_id: str, token: str) -> Identity:
        identity = self._verified.get((app_id, token))
        if identity is None:
            application = self._applications.get(app_id)
            claims = verify_access_token(application, token, now=self._clock())
            identity = _identify(application, claims)
            self._verified[app_id, token] = identity
            if len(self._verified) > _VERIFIED_TOKENS:
                self._verified.popitem(last=False)
        elif identity.expires_at <= self._clock():
            del self._verified[app_id, token]
            raise UserTokenExpired("the access token has expired; refresh it")
        return identity

    async def require_live(self, identity: Identity) -> None:
        """Raise `UserTokenExpired` if the session behind a verified token has ended.

        It may have ended since the token was verified: the application may have another secret.
        """
        device_id = identity.device()
        application = self._applications.get(identity.app_id)
        is_valid = identity.key_id == key_id(application) and _is_of(application, identity.user_id)
        session = None
        if is_valid and identity.session_id is not None:
            session = await self._registry.sessions.get(identity.app_id, identity.session_id)
        if session is None or session.is_ending or session.device_id != device_id:
            raise UserTokenExpired("the session has ended; sign in again")

    def forget_tokens(self, app_id: str) -> None:
        """Verify an application's tokens again: its secret may have changed."""
        for key in [key for key in self._verified if key[0] == app_id]:
            del self._verified[key]

    async def begin(
        self,
        application: Application,
        device: Device,
        user: User | None,
        *,
        is_login: bool = True,
        is_known_device: bool = False,
    ) -> Tokens:
        """Begin a device's session, which replaces the previous one of a known device.

        The tokens of the previous session are refused from then on. The device's connection stays,
        until the token expires with which it registered. If an application allows only one login, a
        login ends the user's sessions on other devices.
        """
        if user is not None:
            is_only_one = is_login and not application.users().allow_multiple_login
            if is_only_one or is_known_device:
                await self._end_some_of(
                    application.id,
                    user.id,
                    lambda other: other.is_ending or (is_only_one and other.device_id != device.id),
                )
        now = self._clock()
        session = Session(
            id=new_id(),
            app_id=application.id,
            device_id=device.id,
            user_id=user.id if user is not None else None,
            generation=1,
            refresh_hash="",
            rotated_at=now,
            expires_at=int(now) + application.session.refresh_token_expires_in,
            user_type=user.user_type if user is not None else None,
        )
        tokens = self._issue(application, session, user)
        session = msgspec.structs.replace(
            session, refresh_hash=hash_refresh_token(tokens.refresh_token)
        )
        await self._registry.sessions.put(session)
        return tokens

    async def refresh(self, application: Application, refresh_token: str) -> Tokens:
        """Return the next pair.

        Raises `InvalidRefreshToken`. A token of an older generation was stolen, and ends the
        session.
        """
        given = read_refresh_token(application, refresh_token)
        session = await self._registry.sessions.get(application.id, given.session_id)
        if session is not None and (session.is_ending or not _is_of(application, session.user_id)):
            await self.end(application.id, session.id)
            session = None
        if session is None:
            raise InvalidRefreshToken("the session has ended; sign in again")
        if given.generation == session.generation - 1 and self._in_grace(session):
            # The answer to the first refresh was lost; its retry gets the same pair.
            return await self._issue_again(application, session)
        if given.generation != session.generation:
            await self.end(application.id, session.id)
            raise InvalidRefreshToken(
                "the refresh token was used before, so the session was ended; sign in again"
            )
        following = msgspec.structs.replace(
            session,
            generation=session.generation + 1,
            refresh_hash=hash_refresh_token(
                derive_refresh_token(application, session.id, session.generation + 1)
            ),
            rotated_at=self._clock(),
        )
        rotated = await self._registry.sessions.rotate(
            following, expected_generation=session.generation
        )
        if not rotated:
            # Two refreshes at once: the other one won, and this one is its retry.
            current = await self._registry.sessions.get(application.id, session.id)
            if current is None or current.is_ending or current.generation != following.generation:
                raise InvalidRefreshToken("the session has ended; sign in again")
            following = current
        return await self._issue_again(application, following)

    async def log_out(self, application: Application, refresh_token: str) -> None:
        """End the session of a refresh token, whether or not it is live."""
        try:
            given = read_refresh_token(application, refresh_token)
        except InvalidRefreshToken:
            return
        await self.end(application.id, given.session_id)

    async def end(self, app_id: str, session_id: str) -> None:
        """End a session: its tokens, its connection (4001), its volatile subscriptions."""
        session = await self._mark(app_id, session_id)
        if session is not None:
            await self._complete(session)

    async def end_all_of(self, app_id: str, user_id: str, *, but: str | None = None) -> None:
        """End a user's sessions, all `but` one."""
        await self._end_some_of(app_id, user_id, lambda session: session.id != but)

    async def end_unfit(self, user: User) -> None:
        """End the sessions that the user, as stored now, may not have.

        These are all sessions of a disabled user, and those that began under another user type.
        """
        await self._end_some_of(
            user.app_id,
            user.id,
            lambda session: user.disabled or session.user_type != user.user_type,
        )

    async def _end_some_of(
        self, app_id: str, user_id: str, is_to_end: Callable[[Session], bool]
    ) -> None:
        """End some of a user's sessions; all their tokens are refused before a node is notified."""
        ending = [
            await self._mark(app_id, session.id)
            for session in await self._registry.sessions.of_user(app_id, user_id)
            if is_to_end(session)
        ]
        for session in ending:
            if session is not None:
                await self._complete(session)

    async def _mark(self, app_id: str, session_id: str) -> Session | None:
        """Refuse a session's tokens from now on; return it, or None if it is over."""
        while True:
            session = await self._registry.sessions.get(app_id, session_id)
            if session is None or session.is_ending:
                return session
            # Another generation, so that a refresh under way does not take the mark away again.
            ending = msgspec.structs.replace(
                session, generation=session.generation + 1, is_ending=True
            )
            if await self._registry.sessions.rotate(ending, expected_generation=session.generation):
                return ending

    async def _complete(self, session: Session) -> None:
        """Remove what a marked session has, and at last the session."""
        await self._disconnect(session.app_id, session.device_id, session.id)
        await self._registry.sessions.end(session.app_id, session.id)

    def _in_grace(self, session: Session) -> bool:
        return self._clock() - session.rotated_at <= self._refresh_grace

    async def _issue_again(self, application: Application, session: Session) -> Tokens:
        user = None
        if session.user_id is not None:
            user = await self._users.get(application.id, session.user_id)
            if user is None or user.disabled:
                raise InvalidRefreshToken("the account cannot be used any more")
        return self._issue(application, session, user)

    def _issue(self, application: Application, session: Session, user: User | None) -> Tokens:
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iat": now,
            "exp": now + application.session.jwt_expires_in,
            "sub": session.user_id or session.device_id,
            "sid": session.id,
            "gen": session.generation,
            "deviceId": session.device_id,
            "appId": application.id,
        }
        if user is not None:
            claims |= user.claims()
        return Tokens(
            sign_access_token(application, claims),
            derive_refresh_token(application, session.id, session.generation),
        )

    async def _disconnect(self, app_id: str, device_id: str, session_id: str) -> None:
        channels = [
            subscription.channel_id
            for subscription in await self._registry.subscriptions.of_device(app_id, device_id)
        ]
        presence = await self._registry.presence.get(app_id, device_id)
        if presence is not None:
            ended = SessionEnded(app_id, device_id, session_id)
            await self._peers.send(gateway_mailbox(presence.transport, presence.node), ended)
        await self._registry.subscriptions.remove(app_id, device_id, channels)


def _is_of(application: Application, user_id: str | None) -> bool:
    """Return whether a session fits: a user's where there are users, a device's where not."""
    return (user_id is not None) == (application.auth is not None)


def _identify(application: Application, claims: dict[str, Any]) -> Identity:
    user_type = claims.get("userType")
    return Identity(
        app_id=application.id,
        device_id=claims.get("deviceId"),
        user_id=claims["sub"] if user_type is not None else None,
        user_type=user_type,
        session_id=claims.get("sid"),
        expires_at=int(claims["exp"]),
        claims=claims,
        key_id=key_id(application),
    )
