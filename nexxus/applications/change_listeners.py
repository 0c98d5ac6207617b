"""Change listeners: what follows from a change of an application is done, however long it takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from nexxus.domain.application import Application

Listener: TypeAlias = Callable[[Application | None, Application | None], Awaitable[None]]
"""Acts on a change, given the former and the present application; either is None where there is
none. It may be cancelled, and is awaited again until it returns."""

_PATIENCE: Final = 4.0
"""Other nodes wait a little longer for this one."""


class ChangeListeners:
    """Awaits listeners, and remembers those that have not come to their end.

    `present` tells which application of an id is in force. A listener holds up a change for
    `patience` seconds at most.
    """

    def __init__(
        self, present: Callable[[str], Application | None], *, patience: float = _PATIENCE
    ) -> None:
        self._present = present
        self._patience = patience
        self._listeners: list[Listener] = []
        self._unfinished: dict[tuple[str, Listener], Application | None] = {}
        self._is_left_behind = asyncio.Event()

    def add(self, listener: Listener) -> None:
        """Await `listener` after each change."""
        self._listeners.append(listener)

    async def tell(self, app_id: str, former: Application | None) -> None:
        """Await every listener after a change; what fails, or takes long, is left for `finish`."""
        for listener in self._listeners:
            # Whoever has not finished with an earlier change goes on from what was before that.
            self._unfinished.setdefault((app_id, listener), former)
        try:
            for listener in self._listeners:
                with contextlib.suppress(Exception):  # what it is shows, and is told, in `finish`
                    async with asyncio.timeout(self._patience):
                        await self._await(app_id, listener)
        finally:
            if self._unfinished:
                self._is_left_behind.set()

    async def finish(self) -> None:
        """Wait until something was left behind, and go on with all of that.

        Raises the first of what listeners fail with; the others were awaited nevertheless. To be
        called again and again.
        """
        await self._is_left_behind.wait()
        failures: list[Exception] = []
        for app_id, listener in list(self._unfinished):
            try:
                await self._await(app_id, listener)
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]
        if not self._unfinished:
            self._is_left_behind.clear()

    async def _await(self, app_id: str, listener: Listener) -> None:
        name = (app_id, listener)
        if name not in self._unfinished:
            return
        former, present = self._unfinished[name], self._present(app_id)
        if former is not present:
            await listener(former, present)
        if self._present(app_id) is present:
            self._unfinished.pop(name, None)
