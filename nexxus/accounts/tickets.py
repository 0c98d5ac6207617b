"""Tickets: each replaces an access token once, for clients that cannot set a header.

A ticket is ``<application>.<session>.<expiry of the token>.<own expiry>.<nonce>.<HMAC>``: it is
signed, not stored, so that any node can check it. Its use claims its nonce in the registry,
whichever node it comes to, and binds it to the browser that brought it: that one may come back
with it, where a mount allows for that, for as long as the access token would be good.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from secrets import token_urlsafe
from typing import Final, NamedTuple

from nexxus.accounts.tokens import derive_secret, key_id
from nexxus.applications.applications import Applications
from nexxus.domain.application import Application
from nexxus.domain.identity import Identity
from nexxus.errors import (
    ApplicationNotFound,
    NoAuthPresent,
    UserAuthenticationFailed,
    UserTokenExpired,
)
from nexxus.interfaces.registry import Registry

LIFETIME: Final = 30
"""Seconds in which a ticket has to be used."""

_REMEMBERED: Final = 86_400
"""Seconds for which the use of a ticket is remembered at most."""


class _Ticket(NamedTuple):
    """What a genuine ticket says. Times are UNIX seconds."""

    application: Application
    session_id: str
    token_expires_at: int
    expires_at: int
    nonce: str


class Tickets:
    """Issues tickets to sessions, and accepts each one once. `clock` tells UNIX seconds."""

    def __init__(
        self,
        *,
        applications: Applications,
        registry: Registry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._applications = applications
        self._registry = registry
        self._clock = clock

    def issue(self, identity: Identity) -> str:
        """Return a new ticket for the session of an access token."""
        if identity.session_id is None:
            raise NoAuthPresent("send an access token: Authorization: Bearer <token>")
        application = self._applications.get(identity.app_id)
        expires_at = int(self._clock()) + LIFETIME
        body = ".".join(
            (
                application.id,
                identity.session_id,
                str(identity.expires_at),
                str(expires_at),
                token_urlsafe(12),
            )
        )
        return f"{body}.{_mac(application, body)}"

    async def redeem(
        self, ticket: str, *, app_id: str | None = None, browser: str = "", again: bool = False
    ) -> Identity:
        """Return whom a ticket stands for, and use it up.

        `app_id` is the application that the request names otherwise, if it does. `browser` is a
        secret of the client's, to which the ticket is bound; with `again` a ticket that was used
        with the same secret is accepted. Raises `UserTokenExpired` when the session or its access
        token has ended, `UserAuthenticationFailed` for any other ticket that is not good.
        """
        read = self._read(ticket)
        app = read.application.id
        if app_id is not None and app_id != app:
            raise UserAuthenticationFailed("the ticket is of another application")
        now = self._clock()
        if read.expires_at <= now and not again:
            raise UserAuthenticationFailed(f"a ticket is good for {LIFETIME} s; get another one")
        session = await self._registry.sessions.get(app, read.session_id)
        if session is None or session.is_ending:
            raise UserTokenExpired("the session has ended; sign in again")
        if read.token_expires_at <= now:
            raise UserTokenExpired("the access token behind the ticket has expired; refresh it")
        proof = hashlib.sha256(browser.encode()).digest()
        is_fresh = read.expires_at > now
        remembered = min(int(read.token_expires_at - now) + 1, _REMEMBERED)
        holder = await self._registry.claims.claim(
            app,
            "ticket",
            read.nonce,
            proof if is_fresh else b"",  # Nobody may come back with one that came too late.
            max(remembered, LIFETIME),
        )
        is_first_use = is_fresh and holder is None
        is_used_again = again and browser != "" and holder == proof
        if not (is_first_use or is_used_again):
            raise UserAuthenticationFailed("the ticket was used before; get another one")
        return Identity(
            app_id=app,
            device_id=session.device_id,
            user_id=session.user_id,
            user_type=session.user_type,
            session_id=session.id,
            expires_at=read.token_expires_at,
            key_id=key_id(read.application),
        )

    def _read(self, ticket: str) -> _Ticket:
        bad = UserAuthenticationFailed("that is not a ticket; get one with POST /auth/ticket")
        body, _, mac = ticket.rpartition(".")
        parts = body.split(".")
        if not ticket.isascii() or len(parts) != 5:
            raise bad
        app_id, session_id, token_expires_at, expires_at, nonce = parts
        try:
            application = self._applications.get(app_id)
        except ApplicationNotFound:
            raise bad from None
        if not hmac.compare_digest(mac, _mac(application, body)):
            raise bad
        return _Ticket(application, session_id, int(token_expires_at), int(expires_at), nonce)


def _mac(application: Application, body: str) -> str:
    return derive_secret(application, f"ticket|{body}")
