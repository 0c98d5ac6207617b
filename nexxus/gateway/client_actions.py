"""What the gateway asks of the actions, in the gateway's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nexxus.accounts.sessions import Sessions
from nexxus.applications.applications import Applications
from nexxus.domain.channels import Subscription
from nexxus.domain.identity import Identity
from nexxus.errors import (
    ApplicationNotFound,
    DeviceNotFound,
    InvalidParameters,
    SessionHasEnded,
    UserTokenExpired,
)
from nexxus.gateway.seams import TokenClaims
from nexxus.interfaces.registry import Registry
from nexxus.objects.requests import Requests
from nexxus.objects.subscriptions import rerouted
from nexxus.toolkit.rate_limit import RateLimit


class GatewayActions:
    """Verifies tokens and performs frames. `requests` is set before the gateway serves."""

    requests: Requests

    def __init__(
        self,
        sessions: Sessions,
        applications: Applications,
        registry: Registry,
        rate_limit: RateLimit,
    ) -> None:
        self._sessions = sessions
        self._applications = applications
        self._registry = registry
        self._rate_limit = rate_limit

    async def verify_token(self, token: str) -> TokenClaims:
        """See `nexxus.gateway.seams.ClientActions`."""
        identity = self._sessions.read(token)
        self._count(identity)
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

    async def perform(
        self, caller: Any, event: str, data: dict[str, Any], on_publish: Callable[[], None]
    ) -> tuple[int, dict[str, Any] | None]:
        """See `nexxus.gateway.seams.ClientActions`."""
        self._count(caller)
        return await self.requests.perform(caller, event, data, on_publish)

    def _count(self, identity: Identity) -> None:
        """A frame counts as a request of its device's."""
        if self._rate_limit.enabled and identity.device_id is not None:
            self._rate_limit.take_device(identity.app_id, identity.device_id)
