"""The figures of a process: collects them from its parts, and exposes them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Group
from nexxus.interfaces.logger import Logger
from nexxus.observability.exposition import expose
from nexxus.observability.figures import Figures, gauge


class WaitingFigures(msgspec.Struct):
    """What waits for the groups that a process consumes."""

    waiting: Annotated[
        dict[str, int],
        gauge("Messages that wait for a group, of all its members, roughly.", "group"),
    ]


class Metrics:
    """Shows all figures in the format that a scrape asks for."""

    def __init__(self, figures: Figures, logger: Logger) -> None:
        self._figures = figures
        self._logger = logger

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """Return the figures as they are now, and their media type.

        Figures of a service that is away are missing; the others are needed most then.
        """
        families = await self._figures.collect(self._log)
        # The first time this imports Prometheus' library, which takes a while.
        return await asyncio.to_thread(expose, families, accept)

    def _log(self, place: str, error: Exception) -> None:
        if not isinstance(error, ServiceUnavailable | TimeoutError):
            self._logger.error("figures cannot be read", figures=place, error=error)


def show_waiting(figures: Figures, broker: Broker, group: Group[Any]) -> None:
    """Show how many messages wait for a group."""

    async def read() -> WaitingFigures:
        return WaitingFigures({group.name: await broker.depth(group)})

    figures.under("broker").read(read)
