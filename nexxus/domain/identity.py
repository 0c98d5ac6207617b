"""Identities: who makes a request."""

from __future__ import annotations

from typing import Any

import msgspec

from nexxus.domain.access import Caller
from nexxus.domain.operations import owner_of
from nexxus.errors import InvalidAuthMethod, NoAuthPresent


class Identity(msgspec.Struct, frozen=True):
    """What a verified access token says; without a token, only which application is meant.

    Without a token, everything but `app_id` has its default. `expires_at` is in UNIX seconds. A
    custom `worker`, by its name, may do everything; `user_id` is then the user in whose name it
    creates an object.
    """

    app_id: str
    device_id: str | None = None
    user_id: str | None = None
    user_type: str | None = None
    session_id: str | None = None
    expires_at: int = 0
    claims: dict[str, Any] = {}
    worker: str | None = None

    @property
    def caller(self) -> Caller:
        """The identity as access control sees it."""
        return Caller(self.app_id, self.user_id, self.user_type)

    @property
    def owner(self) -> str:
        """The name under which operations and idempotency keys are kept."""
        if self.worker is not None:
            return f"worker:{self.worker}"
        return owner_of(self.user_id, self.device_id)

    def device(self) -> str:
        """Return the device's id; raise `NoAuthPresent` without a token."""
        if self.device_id is None:
            raise NoAuthPresent("send an access token: Authorization: Bearer <token>")
        return self.device_id

    def user(self) -> str:
        """Return the user's id.

        Raises `NoAuthPresent` without a token, `InvalidAuthMethod` for a token without a user.
        """
        self.device()
        if self.user_id is None:
            raise InvalidAuthMethod("this token names no user; sign in as one")
        return self.user_id
