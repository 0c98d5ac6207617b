"""Messages: what a connection's peer asks for, and how it gets its answer."""

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
    """One thing that a peer asks for. It is answered, refused or forgotten, once.

    `size` is in bytes.
    """

    __slots__ = ()

    size: int = 0

    @abstractmethod
    def read(self, max_depth: int) -> ClientFrame:
        """The frame that it is; raises the `WireError` that is wrong with it."""

    @abstractmethod
    def answer(self, status: int, data: Any) -> None:
        """It is done."""

    @abstractmethod
    def refuse(self, error: WireError) -> None:
        """It was not done."""

    def forget(self) -> None:
        """Its connection has ended before it began."""
        return


class FrameRequest(PeerRequest):
    """A frame in bytes; its answers are frames.

    Those of a registered device's operations are replies by their ``ref``. Before that, and of
    other events, what goes wrong is an ``error``, and what is done has frames of its own.
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
    """What the transport could not make a frame of."""

    __slots__ = ("_error",)

    def __init__(self, connection: Connection, error: WireError) -> None:
        super().__init__(connection, b"")
        self._error = error

    def read(self, max_depth: int) -> ClientFrame:  # noqa: ARG002
        raise self._error


class DirectRequest(PeerRequest):
    """A request in the transport's own words; `answered` becomes a status and data."""

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

    It says whether the device resumes, and from which `cursor`.
    """

    __slots__ = ("cursor", "identity")

    def __init__(self, identity: Identity, cursor: str | None) -> None:
        super().__init__("register", {})
        self.identity = identity
        self.cursor = cursor


def error_code(error: WireError) -> str:
    """The code of the ``error`` frame that stands for an error."""
    if isinstance(error, SessionHasEnded):
        return "SESSION_ENDED"
    if isinstance(error, DeviceNotFound):
        return "DEVICE_NOT_FOUND"
    if isinstance(error, UserTokenExpired):
        return "TOKEN_EXPIRED"
    if isinstance(error, TooManyRequests):
        return "RATE_LIMITED"
    return "INTERNAL_SERVER_ERROR" if error.status >= 500 else "INVALID_PARAMETERS"
