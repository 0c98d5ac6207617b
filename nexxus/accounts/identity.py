"""Who is asking."""

from __future__ import annotations

from typing import Any

import msgspec

from nexxus.domain.access import Caller
from nexxus.domain.operations import owner_of
from nexxus.errors import InvalidAuthMethod, NoAuthPresent


class Identity(msgspec.Struct, frozen=True):
    """A verified access token, or nobody in particular of an application.

    Without a token, `device_id`, `session_id` and the rest are None. `expires_at` is in UNIX
    seconds.
    """

    app_id: str
    device_id: str | None = None
    user_id: str | None = None
    user_type: str | None = None
    session_id: str | None = None
    expires_at: int = 0
    claims: dict[str, Any] = {}

    @property
    def caller(self) -> Caller:
        """The identity as access control sees it."""
        return Caller(self.app_id, self.user_id, self.user_type)

    @property
    def owner(self) -> str:
        """In whose name operations and idempotency keys are kept."""
        return owner_of(self.user_id, self.device_id)

    def device(self) -> str:
        """The device's id, or `NoAuthPresent` without a token."""
        if self.device_id is None:
            raise NoAuthPresent("send an access token: Authorization: Bearer <token>")
        return self.device_id

    def user(self) -> str:
        """The user's id; `NoAuthPresent` without a token, `InvalidAuthMethod` without a user."""
        self.device()
        if self.user_id is None:
            raise InvalidAuthMethod("this token names no user; sign in as one")
        return self.user_id
