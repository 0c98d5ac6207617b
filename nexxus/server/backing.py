"""The backing services: adapters opened in order, waited for, and closed in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.backoff import Backoff

AGAIN: Final = Backoff(first=0.2, longest=5.0)
_PING_TIMEOUT: Final = 3.0


class BackingService(Protocol):
    """What databases, brokers and registries have in common."""

    async def open(self) -> None:
        """Connect; `ServiceUnavailable` when the service is only away."""

    async def close(self) -> None:
        """Let go; may be called twice."""

    async def ping(self) -> None:
        """Return if the service answers, else raise `ServiceUnavailable`."""


class Backing:
    """The services of one process, by what they are called in logs and in ``/readyz``."""

    def __init__(
        self,
        services: Mapping[str, BackingService],
        logger: Logger,
        *,
        again: Backoff = AGAIN,
    ) -> None:
        self._services = services
        self._logger = logger
        self._again = again
        self._deadline = 0.0

    async def open(self, *, within: float) -> None:
        """Open every service, waiting for those that are away.

        Raises `StartupError` naming the one that did not come `within` so many seconds.
        """
        self._deadline = time.monotonic() + within
        for name, service in self._services.items():
            await self.wait_for(name, service.open)

    async def wait_for(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do what a start needs the service of this name for: again while that one is away.

        It may go away once more after it was opened. `work` is to bear being repeated. Raises
        `StartupError` when the time that `open` was given is over.
        """
        failures = 0
        while True:
            try:
                return await work()
            except ServiceUnavailable as error:
                failures += 1
                delay = self._again.delay(failures)
                if time.monotonic() + delay > self._deadline:
                    raise StartupError(
                        f"{name} did not come within server.startup_timeout: {error.message}"
                    ) from error
                self._logger.warning("waiting for a service", service=name, reason=error.message)
            await asyncio.sleep(delay)

    async def close(self) -> None:
        """Close every service, the last opened first, whatever happens to one of them."""
        for name, service in reversed(list(self._services.items())):
            try:
                await service.close()
            except Exception as error:  # the others are to be closed as well
                self._logger.error("closing failed", service=name, error=error)

    async def problems(self) -> dict[str, str]:
        """What is wrong with which service; nothing when all answer."""
        answers = await asyncio.gather(*(self._ask(service) for service in self._services.values()))
        return {
            name: answer
            for name, answer in zip(self._services, answers, strict=True)
            if answer is not None
        }

    async def _ask(self, service: BackingService) -> str | None:
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                await service.ping()
        except TimeoutError:
            return f"no answer within {_PING_TIMEOUT:.0f} s"
        except ServiceUnavailable as error:
            return error.message
        return None
