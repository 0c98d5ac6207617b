"""What the gateway needs from the rest of the process, as small interfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.domain.identity import Identity


class TokenClaims(msgspec.Struct, frozen=True):
    """What a verified access token says. `expires_at` is in UNIX seconds.

    `caller` is the verifier's own and is handed back with every operation.
    """

    app_id: str
    device_id: str
    session_id: str
    expires_at: float
    user_id: str | None = None
    user_type: str | None = None
    caller: Any = None


class ClientActions(Protocol):
    """What a client may do on a connection; the HTTP routes do the same."""

    async def verify_token(self, token: str) -> TokenClaims:
        """Return the claims of an access token whose session is live; it counts as a request.

        Raises `SessionHasEnded` and `DeviceNotFound` for a genuine token that came too late,
        and otherwise the `WireError` that an HTTP request with it would get.
        """
        ...

    async def verify_identity(self, identity: Identity) -> TokenClaims:
        """Do the same for an identity whose request has been authenticated, and counted."""
        ...

    async def verify_again(self, claims: TokenClaims) -> TokenClaims:
        """Return the claims if their session is still live; raises what `verify_token` does."""
        ...

    def reroute(self, subscription: Subscription) -> Subscription | None:
        """Return a subscription that no node has served as the present roles have it.

        None if it may not exist any more.
        """
        ...

    async def perform(
        self, caller: Any, event: str, data: dict[str, Any], on_publish: Callable[[], None]
    ) -> tuple[int, dict[str, Any] | None]:
        """Do what a ``subscribe``, ``unsubscribe``, ``create``, ``update`` or ``delete`` asks.

        `data` has the keys of the HTTP body, unchecked. A write calls `on_publish` when it has
        its place in the queue: what is begun from then on comes after it, answered or not.
        Returns the HTTP answer's status and its ``data``; raises the `WireError` that HTTP would
        answer with.
        """
        ...
