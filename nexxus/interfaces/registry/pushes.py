"""Pushes: what devices that are away are to learn, and when.

A device is *scheduled* for a moment: it is then *due*, and one caller at a time has it, to push its
notices or to find out whether it can still be reached. It stays scheduled until `done` says
otherwise, so that a caller that dies only delays it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import msgspec

from nexxus.domain.pushes import PushNotice

RESYNC_WITHIN: Final = 5.0
"""Seconds within which a device is due that may have missed something: it may come back first."""

MAX_NOTICES: Final = 100
"""The notices that a device can have; with another one, the oldest is dropped."""


class DuePush(msgspec.Struct, frozen=True):
    """A device that is due, and its notices, oldest first; there may be none.

    `attempts` counts the retries of the notices. `handle` is the implementation's own.
    """

    app_id: str
    device_id: str
    notices: tuple[PushNotice, ...]
    attempts: int
    handle: str


class PushStore(ABC):
    """The schedule of every device that is away. Survives a restart of the process."""

    @abstractmethod
    async def add(
        self, app_id: str, device_ids: Sequence[str], notice: PushNotice, *, within: float
    ) -> None:
        """Add a notice for each of these devices, which are due within so many seconds from now.

        A device that is scheduled earlier remains so. A notice that the device already has is not
        added again.
        """

    @abstractmethod
    async def schedule(self, app_id: str, device_id: str, delay: float) -> None:
        """Schedule a device in `delay` seconds, unless it is already scheduled."""

    @abstractmethod
    async def take(self, limit: int, *, lease: float) -> list[DuePush]:
        """Return up to `limit` devices that are due, the earliest first.

        They are scheduled again in `lease` seconds: until then no other call returns them, unless
        notices are added.
        """

    @abstractmethod
    async def done(self, due: DuePush, *, again_in: float | None) -> None:
        """Remove the notices of a taken device.

        If it has got others since, it stays scheduled for those. Otherwise it is scheduled in
        `again_in` seconds; None ends its schedule.
        """

    @abstractmethod
    async def retry(self, due: DuePush, delay: float, *, failed: bool = True) -> None:
        """Keep the notices of a taken device and schedule it in `delay` seconds.

        `DuePush.attempts` grows by one if the attempt `failed`.
        """
