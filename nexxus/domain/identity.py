"""Identities: who sends a request."""

from __future__ import annotations

from typing import Any

import msgspec

from nexxus.domain.access import Caller
from nexxus.domain.operations import owner_of
from nexxus.errors import InvalidAuthMethod, NoAuthPresent


class Identity(msgspec.Struct, frozen=True):
    """The claims of a verified access token, or only the application if there is no token.

    Without a token, every attribute except `app_id` has its default. `expires_at` is in UNIX
    seconds. `key_id` identifies the secret that signed the token. `worker` is the name of a custom
    worker, which may do everything; `user_id` is then the user for whom it creates an object.
    """

    app_id: str
    device_id: str | None = None
    user_id: str | None = None
    user_type: str | None = None
    session_id: str | None = None
    expires_at: int = 0
    claims: dict[str, Any] = {}
    worker: str | None = None
    key_id: str | None = None

    @property
    def caller(self) -> Caller:
        """The caller for access control."""
        return Caller(self.app_id, self.user_id, self.user_type)

    @property
    def owner(self) -> str:
        """The owner under which operations and idempotency keys are stored."""
        if self.worker is not None:
            return f"worker:{self.worker}"
        return owner_of(self.user_id, self.device_id)

    def device(self) -> str:
        """Return the device's id. Raises `NoAuthPresent` if there is no token."""
        if self.device_id is None:
            raise NoAuthPresent("send an access token: Authorization: Bearer <token>")
        return self.device_id

    def user(self) -> str:
        """Return the user's id.

        Raises `NoAuthPresent` if there is no token, `InvalidAuthMethod` if it names no user.
        """
        self.device()
        if self.user_id is None:
            raise InvalidAuthMethod("this token has no user; sign in as a user")
        return self.user_id
