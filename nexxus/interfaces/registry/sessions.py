"""Sessions: what access and refresh tokens stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """A device's session. Times are UNIX seconds.

    `generation` counts the refreshes, and `refresh_hash` is the SHA-256 of that generation's
    refresh token. The token of the previous generation is accepted for `GRACE` seconds after
    `rotated_at`. `user_type` is the user's type when the session began. When `is_ending`, no
    token of the session is accepted any more, but the nodes may not all have been notified yet.
    """

    id: str
    app_id: str
    device_id: str
    user_id: str | None
    generation: int
    refresh_hash: str
    rotated_at: float
    expires_at: int
    user_type: str | None = None
    is_ending: bool = False


class SessionStore(ABC):
    """At most one session per device. A session is live until it is ended or expires."""

    @abstractmethod
    async def put(self, session: Session) -> str | None:
        """Store a new session, which ends the device's previous one.

        Returns the id of the previous session if it was live. Of concurrent calls for a device,
        one session stays.
        """

    @abstractmethod
    async def get(self, app_id: str, session_id: str) -> Session | None:
        """Return a session, or None if it is not live.

        Every request calls this, so an implementation must make it fast.
        """

    @abstractmethod
    async def rotate(self, session: Session, *, expected_generation: int) -> bool:
        """Replace the session of that id if it is live and of the expected generation.

        The comparison and the replacement are one step. Returns whether it was replaced.
        """

    @abstractmethod
    async def end(self, app_id: str, session_id: str) -> Session | None:
        """End a session. Returns the session if it was live."""

    @abstractmethod
    async def of_device(self, app_id: str, device_id: str) -> Session | None:
        """Return the device's live session, or None."""

    @abstractmethod
    async def of_user(self, app_id: str, user_id: str) -> list[Session]:
        """Return a user's live sessions."""
