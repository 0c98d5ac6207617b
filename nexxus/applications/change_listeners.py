"""Change listeners: called after each change of an application, again until they have finished."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from nexxus.domain.application import Application

Listener: TypeAlias = Callable[[Application | None, Application | None], Awaitable[None]]
"""Called after a change with the former and the new application, one of which may be None. It may
be cancelled, and is called again until it returns."""

_PATIENCE: Final = 4.0
"""Other nodes wait a little longer for this one."""


class ChangeListeners:
    """Calls listeners, and remembers those that have not finished.

    `present` returns the application of an id that is in force. A listener delays a change for at
    most `patience` seconds.
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
        """Call every listener after a change; those that fail or take too long are left for
        `finish`.
        """
        for listener in self._listeners:
            # A listener that has not finished an earlier change starts from the application before.
            self._unfinished.setdefault((app_id, listener), former)
        try:
            for listener in self._listeners:
                with contextlib.suppress(Exception):  # it fails again in `finish`, which raises it
                    async with asyncio.timeout(self._patience):
                        await self._await(app_id, listener)
        finally:
            if self._unfinished:
                self._is_left_behind.set()

    async def finish(self) -> None:
        """Wait until a listener was left behind, and call all of those again.

        Raises the first error, after calling the others. To be called in a loop.
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
