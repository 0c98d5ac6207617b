"""Push services: ways to reach devices that have no connection, such as APNs, FCM and Web Push."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec


class PushMessage(msgspec.Struct, frozen=True):
    """The content of a push.

    A message with a `title` is shown, with its `body`. One without is silent: it wakes the
    application up. A later message with the same `collapse` replaces an earlier one on the device;
    "" replaces nothing. The whole encodes to 3 KB of JSON at most.

    `data` is for the application. ``event`` is ``model_created``, ``model_updated`` or
    ``model_deleted``; ``channels`` are the affected channels of the device, ``model`` and ``id``
    identify the object; if the message stands for several events, these are of the latest one, and
    ``count`` is their number. An ``event`` of ``resync``, with no ``channels``, tells the
    application to read all its channels again.
    """

    data: dict[str, Any]
    title: str = ""
    body: str = ""
    collapse: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is shown."""
        return not self.title


class Push(msgspec.Struct, frozen=True):
    """A message, its address, and the seconds until it expires.

    The address is one that `PushService.check_address` has returned.
    """

    address: Mapping[str, Any]
    message: PushMessage
    expires_in: float


class Sent(msgspec.Struct, frozen=True):
    """The service has accepted the push."""


class TryLater(msgspec.Struct, frozen=True):
    """The push may be accepted later: after `delay` seconds, or None if that is unknown."""

    reason: str
    delay: float | None = None


class Gone(msgspec.Struct, frozen=True):
    """The address no longer belongs to a device. Nexxus sends it no more pushes."""

    reason: str


class Refused(msgspec.Struct, frozen=True):
    """This push will never be accepted, for example because it is too large; others may be."""

    reason: str


PushOutcome: TypeAlias = Sent | TryLater | Gone | Refused


class PushService(ABC):
    """Sends pushes to the devices of one kind.

    `public_key` and `check_address` also work before `open`: the API uses them in processes that
    send nothing. Methods other than `open` may be called concurrently from one event loop.
    """

    batch: ClassVar[int] = 100
    """The maximum number of pushes in one call of `send`."""

    @property
    def public_key(self) -> str | None:
        """The key with which clients subscribe to the service, if it needs one (Web Push)."""
        return None

    async def open(self) -> None:  # noqa: B027 - most need none
        """Prepare for sending.

        Raises `ServiceUnavailable` if a service is unavailable: `open` is called again, and pushes
        wait. Any other exception ends the process.
        """

    async def close(self) -> None:  # noqa: B027 - most need none
        """Release all resources. No `send` is running and none follows. May be called twice."""

    @abstractmethod
    def check_address(self, address: Mapping[str, Any]) -> dict[str, Any]:
        """Return a client's address in the form in which it is stored.

        `address` is what the client gave as ``push`` without ``service``. Does no I/O. Raises
        `InvalidParameters` for keys that are missing, unknown or invalid.
        """

    @abstractmethod
    async def send(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        """Send up to `batch` pushes. Returns the outcome of each, in their order.

        Must set a time limit on everything that leaves the process. An exception is treated as
        `TryLater` of all of them, so some may be sent twice.
        """
