"""Requests of a connection's peer, and how each is answered."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from nexxus.domain.identity import Identity
from nexxus.errors import (
    DeviceNotFound,
    ServiceUnavailable,
    SessionHasEnded,
    TooManyRequests,
    UserTokenExpired,
    WireError,
)
from nexxus.gateway.connections.frames import (
    ClientFrame,
    UnfitFrame,
    check_data,
    check_event,
    parse_frame,
)

if TYPE_CHECKING:
    from nexxus.gateway.connections.connection import Connection


class PeerRequest(ABC):
    """One request of a peer. It is answered, refused or forgotten, once.

    `size` is in bytes.
    """

    __slots__ = ()

    size: int = 0

    @abstractmethod
    def read(self, max_depth: int) -> ClientFrame:
        """Return the request as a frame. Raises a `WireError` if it is invalid."""

    @abstractmethod
    def answer(self, status: int, data: Any) -> None:
        """Answer that it was done."""

    @abstractmethod
    def refuse(self, error: WireError) -> None:
        """Answer that it was not done, and why."""

    def forget(self) -> None:
        """Drop it, because the connection ended before it was started."""
        return


class FrameRequest(PeerRequest):
    """An encoded frame, which is answered by frames.

    An operation of a registered device gets a ``reply`` with its ``ref``. Any other frame gets an
    ``error`` if it fails, and the frames of its event if it succeeds.
    """

    __slots__ = ("_connection", "_payload", "_ref", "size")

    def __init__(self, connection: Connection, payload: bytes) -> None:
        self._connection = connection
        self._payload = payload
        self._ref: str | None = None
        self.size = len(payload)

    def read(self, max_depth: int) -> ClientFrame:
        connection = self._connection
        try:
            frame = parse_frame(
                self._payload, encoding=connection.framing.encoding, max_depth=max_depth
            )
        except UnfitFrame as error:
            self._ref = None if connection.claims is None else error.ref
            raise
        self._ref = None if connection.claims is None else frame.ref
        return frame

    def answer(self, status: int, data: Any) -> None:
        if self._ref is not None:
            self._connection.send("reply", {"status": status, "data": data}, ref=self._ref)

    def refuse(self, error: WireError) -> None:
        if self._ref is None:
            self._connection.send_error(error_code(error), error.message)
        else:
            told = {"status": error.status, "error": error.to_wire()}
            self._connection.send("reply", told, ref=self._ref)


class UnreadableFrame(FrameRequest):
    """Input that the transport could not parse as a frame."""

    __slots__ = ("_error",)

    def __init__(self, connection: Connection, error: WireError) -> None:
        super().__init__(connection, b"")
        self._error = error

    def read(self, max_depth: int) -> ClientFrame:  # noqa: ARG002
        raise self._error


class DirectRequest(PeerRequest):
    """A request made by the transport. `answered` becomes the status and data of its answer."""

    __slots__ = ("_data", "_event", "answered")

    def __init__(self, event: str, data: Any) -> None:
        self._event = event
        self._data = data
        self.answered: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()

    def read(self, max_depth: int) -> ClientFrame:
        event = check_event(self._event)
        return ClientFrame(event, check_data(self._data, max_depth=max_depth))

    def answer(self, status: int, data: Any) -> None:
        if not self.answered.done():
            self.answered.set_result((status, data))

    def refuse(self, error: WireError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)

    def forget(self) -> None:
        self.refuse(ServiceUnavailable("the connection has ended"))


class Registration(DirectRequest):
    """A request to register with the `identity` that a mount has authenticated.

    With a `cursor` the device resumes from there; with None it does not resume.
    """

    __slots__ = ("cursor", "identity")

    def __init__(self, identity: Identity, cursor: str | None) -> None:
        super().__init__("register", {})
        self.identity = identity
        self.cursor = cursor


def error_code(error: WireError) -> str:
    """Return the code of the ``error`` frame for an error."""
    if isinstance(error, SessionHasEnded):
        return "SESSION_ENDED"
    if isinstance(error, DeviceNotFound):
        return "DEVICE_NOT_FOUND"
    if isinstance(error, UserTokenExpired):
        return "TOKEN_EXPIRED"
    if isinstance(error, TooManyRequests):
        return "RATE_LIMITED"
    return "INTERNAL_SERVER_ERROR" if error.status >= 500 else "INVALID_PARAMETERS"
