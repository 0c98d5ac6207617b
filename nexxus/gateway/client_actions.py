"""What clients may do on a connection: the `ClientActions` of a server."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from nexxus.accounts.sessions import Sessions
from nexxus.applications.applications import Applications
from nexxus.domain.channels import Subscription
from nexxus.domain.decoding import convert
from nexxus.domain.frames import WriteEvent
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document
from nexxus.errors import (
    ApplicationNotFound,
    DeviceNotFound,
    InvalidParameters,
    SessionHasEnded,
    UserTokenExpired,
)
from nexxus.gateway.seams import TokenClaims
from nexxus.interfaces.registry import Registry
from nexxus.objects.requests import Requests, SubscribeRequest, UnsubscribeRequest
from nexxus.objects.subscriptions import Opening, Subscriptions, rerouted
from nexxus.toolkit.rate_limit import RateLimit


class GatewayActions:
    """Verifies tokens, and performs what the frames of a client ask for."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        applications: Applications,
        registry: Registry,
        rate_limit: RateLimit,
        requests: Requests,
        subscriptions: Subscriptions,
    ) -> None:
        self._requests = requests
        self._subscriptions = subscriptions
        self._sessions = sessions
        self._applications = applications
        self._registry = registry
        self._rate_limit = rate_limit

    async def verify_token(self, token: str) -> TokenClaims:
        """See `nexxus.gateway.seams.ClientActions`."""
        identity = self._sessions.read(token)
        self.count(identity)
        return await self.verify_identity(identity)

    async def verify_again(self, claims: TokenClaims) -> TokenClaims:
        """See `nexxus.gateway.seams.ClientActions`."""
        return await self.verify_identity(claims.caller)

    async def verify_identity(self, identity: Identity) -> TokenClaims:
        """See `nexxus.gateway.seams.ClientActions`."""
        try:
            await self._sessions.require_live(identity)
        except UserTokenExpired as error:
            raise SessionHasEnded(error.message) from None
        assert identity.device_id is not None
        assert identity.session_id is not None
        if await self._registry.devices.get(identity.app_id, identity.device_id) is None:
            raise DeviceNotFound("the device of this token does not exist any more; sign in again")
        return TokenClaims(
            app_id=identity.app_id,
            device_id=identity.device_id,
            session_id=identity.session_id,
            expires_at=identity.expires_at,
            user_id=identity.user_id,
            user_type=identity.user_type,
            caller=identity,
        )

    def reroute(self, subscription: Subscription) -> Subscription | None:
        """See `nexxus.gateway.seams.ClientActions`."""
        try:
            following = rerouted(subscription, self._applications.get(subscription.app_id))
        except (ApplicationNotFound, InvalidParameters):
            return None
        if following is None:
            return None
        return msgspec.structs.replace(following, narrowing_from=None)

    def count(self, caller: Identity) -> None:
        """See `nexxus.gateway.seams.ClientActions`."""
        if self._rate_limit.enabled and caller.device_id is not None:
            self._rate_limit.take_device(caller.app_id, caller.device_id)

    async def write(
        self, caller: Identity, event: WriteEvent, data: Any, on_publish: Callable[[], None]
    ) -> tuple[int, Document]:
        """See `nexxus.gateway.seams.ClientActions`."""
        return await self._requests.write_from_frame(caller, event, data, on_publish)

    def open(self, caller: Identity, data: Any) -> Opening:
        """See `nexxus.gateway.seams.ClientActions`."""
        return self._subscriptions.open(caller, convert(data, SubscribeRequest))

    def admit(self, wanted: Subscription, held: Collection[Subscription]) -> Subscription:
        """See `nexxus.gateway.seams.ClientActions`."""
        return self._subscriptions.admit(wanted, held)

    async def first_page(self, opening: Opening, served: Subscription | None) -> Document:
        """See `nexxus.gateway.seams.ClientActions`."""
        return (await self._subscriptions.first_page(opening, served)).document()

    def find(self, caller: Identity, data: Any, held: Collection[Subscription]) -> Subscription:
        """See `nexxus.gateway.seams.ClientActions`."""
        return self._subscriptions.find(caller, convert(data, UnsubscribeRequest), held)
