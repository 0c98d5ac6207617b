"""What the gateway needs from the rest of the process, as small interfaces."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

import msgspec

from nexxus.domain.channels import Subscription
from nexxus.domain.frames import WriteEvent
from nexxus.domain.identity import Identity
from nexxus.domain.objects import Document
from nexxus.objects.subscriptions import Opening


class TokenClaims(msgspec.Struct, frozen=True):
    """The contents of a verified access token. `expires_at` is in UNIX seconds.

    `caller` is opaque to the gateway, which passes it back with every operation.
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

        Raises `SessionHasEnded` or `DeviceNotFound` if the session or the device of a genuine token
        is gone, and otherwise the `WireError` that an HTTP request with it would get.
        """
        ...

    async def verify_identity(self, identity: Identity) -> TokenClaims:
        """Do the same for an identity whose request has been authenticated, and counted."""
        ...

    async def verify_again(self, claims: TokenClaims) -> TokenClaims:
        """Return the claims if their session is still live; raises what `verify_token` does."""
        ...

    def reroute(self, subscription: Subscription) -> Subscription | None:
        """Return a subscription that no node has served, updated to the current roles.

        Returns None if they do not permit it any more.
        """
        ...

    def count(self, caller: Any) -> None:
        """Count an operation; raises `TooManyRequests`."""
        ...

    async def write(
        self, caller: Any, event: WriteEvent, data: Any, on_publish: Callable[[], None]
    ) -> tuple[int, Document]:
        """Perform a ``create``, ``update`` or ``delete``.

        `data` has the keys of the HTTP body, unchecked. `on_publish` is called when the write has
        its place in the queue: every write that starts later is applied later. Returns the status
        and ``data`` of the HTTP answer; raises the `WireError` that HTTP would answer with.
        """
        ...

    def open(self, caller: Any, data: Any) -> Opening:
        """Return what a ``subscribe`` asks for; see `Subscriptions.open`."""
        ...

    def admit(self, wanted: Subscription, held: Collection[Subscription]) -> Subscription:
        """Return the device's subscription to the channel; see `Subscriptions.admit`."""
        ...

    async def first_page(self, opening: Opening, served: Subscription | None) -> Document:
        """Return the ``data`` of the answer to a ``subscribe`` whose subscription is served."""
        ...

    def find(self, caller: Any, data: Any, held: Collection[Subscription]) -> Subscription:
        """Return the subscription that an ``unsubscribe`` ends; see `Subscriptions.find`."""
        ...
