"""What the gateway needs from the rest of the process, as small interfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from nexxus.errors import UserAuthenticationFailed, UserTokenExpired


class SessionHasEnded(UserTokenExpired):
    """The token is genuine, but its session has ended: refreshing will not help."""


class DeviceNotFound(UserAuthenticationFailed):
    """The token is genuine, but names a device that is no more."""


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

    async def verify_token(self, token: str, *, again: bool = False) -> TokenClaims:
        """The claims of an access token whose session is live.

        It counts as a request, but for a token that was verified a moment ago: `again`.

        Raises `SessionHasEnded` and `DeviceNotFound` for a genuine token that came too late,
        and else the `WireError` that an HTTP request with it would get.
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
