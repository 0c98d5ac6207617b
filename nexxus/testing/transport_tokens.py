"""The clients of a transport's tests: who they are, and what they may ask for."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document
from nexxus.errors import (
    ApplicationNotFound,
    NotFound,
    SessionHasEnded,
    UserAuthenticationFailed,
    UserTokenExpired,
    VersionConflict,
)
from nexxus.gateway import TokenClaims
from nexxus.objects.subscriptions import Opening

APP: Final = "kit"
"""The application of all devices."""


class KitActions:
    """What clients may do, and as whom.

    Tokens are ``<device>``, or ``<device>@<UNIX seconds of expiry>``; one with a space is bad.
    An operation is answered with 202 and its own data, one whose data has ``fails`` with a 409.
    `held` is what operations wait for. `ended` are the devices whose session has ended.
    """

    def __init__(self) -> None:
        self.performed: list[tuple[str, dict[str, Any]]] = []
        self.held = asyncio.Event()
        self.held.set()
        self.ended: set[str] = set()

    async def verify_token(self, token: str) -> TokenClaims:
        """See `nexxus.gateway.ClientActions`."""
        return await self.verify_identity(identify(token))

    async def verify_identity(self, identity: Identity) -> TokenClaims:
        """See `nexxus.gateway.ClientActions`."""
        device = identity.device()
        if device in self.ended:
            raise SessionHasEnded("the session has ended; sign in again")
        return TokenClaims(
            APP, device, session_of(device), identity.expires_at, caller=identity.device_id
        )

    async def verify_again(self, claims: TokenClaims) -> TokenClaims:
        """See `nexxus.gateway.ClientActions`."""
        if claims.device_id in self.ended:
            raise SessionHasEnded("the session has ended; sign in again")
        return claims

    def reroute(self, subscription: Subscription) -> Subscription | None:
        return subscription

    def count(self, caller: Any) -> None:
        """See `nexxus.gateway.ClientActions`; nothing is limited."""

    async def write(
        self, caller: Any, event: str, data: Any, on_publish: Callable[[], None]
    ) -> tuple[int, Document]:
        """See `nexxus.gateway.ClientActions`."""
        self.performed.append((event, data))
        on_publish()
        await self.held.wait()
        if "fails" in data:
            raise VersionConflict("another client was faster", {"version": 3})
        return 202, {**data, "device": caller}

    def open(self, caller: Any, data: Any) -> Opening:
        """See `nexxus.gateway.ClientActions`; the name of a model is its channel, too."""
        self.performed.append(("subscribe", data))
        return Opening(subscription_to(caller, data["model"]), None)

    def admit(self, wanted: Subscription, held: Collection[Subscription]) -> Subscription:  # noqa: ARG002
        """See `nexxus.gateway.ClientActions`."""
        return wanted

    async def first_page(self, opening: Opening, served: Subscription | None) -> Document:  # noqa: ARG002
        """See `nexxus.gateway.ClientActions`; there are no objects."""
        await self.held.wait()
        return {"channelId": None if served is None else served.channel_id, "items": []}

    def find(self, caller: Any, data: Any, held: Collection[Subscription]) -> Subscription:  # noqa: ARG002
        """See `nexxus.gateway.ClientActions`."""
        for subscription in held:
            if subscription.channel_id == data["model"]:
                return subscription
        raise NotFound("this device has no such subscription")


class KitAuthentication:
    """See `nexxus.api.mounts.MountAuthentication`. Tickets are ``ticket:<token>:<number>``."""

    def __init__(self, actions: KitActions) -> None:
        self._actions = actions
        self._used: dict[str, str] = {}

    def require_application(self, app_id: str) -> None:
        """Know one application."""
        if app_id != APP:
            raise ApplicationNotFound(f"there is no application {app_id!r}")

    async def by_token(self, app_id: str, token: str) -> Identity:  # noqa: ARG002
        """Return whom a token names."""
        identity = identify(token)
        if identity.expires_at <= time.time():
            raise UserTokenExpired("the access token has expired; refresh it")
        if identity.device_id in self._actions.ended:
            raise UserTokenExpired("the session has ended; sign in again")
        return identity

    async def by_ticket(
        self, ticket: str, *, app_id: str | None, browser: str, again: bool
    ) -> Identity:
        """Return whom a ticket names; once, but for the browser that used it."""
        kind, _, rest = ticket.partition(":")
        token, _, number = rest.rpartition(":")
        if kind != "ticket" or not number:
            raise UserAuthenticationFailed("that is not a ticket")
        identity = await self.by_token(app_id or APP, token)
        holder = self._used.get(ticket)
        if holder is not None and not (again and browser and holder == browser):
            raise UserAuthenticationFailed("the ticket was used before")
        self._used[ticket] = browser
        return identity


def identify(token: str) -> Identity:
    """Return whom a token names."""
    device, _, expires = token.partition("@")
    if not device or " " in token:
        raise UserAuthenticationFailed("that is not a token")
    until = math.ceil(float(expires)) if expires else int(time.time()) + 3600
    return Identity(APP, device, session_id=session_of(device), expires_at=until)


def subscription_to(device: str, channel: str) -> Subscription:
    """Return a device's subscription to a channel."""
    descriptor = Descriptor("task")
    return Subscription(APP, device, channel, descriptor, Route(channel, APP, descriptor))


def session_of(device: str) -> str:
    """Return the id of a device's session."""
    return f"session of {device}"
