"""Reading without RabbitMQ: it ends when it is stopped, even if a failure happens then."""

from __future__ import annotations

import asyncio
from typing import Any

from waiting import PATIENCE

from nexxus.adapters.rabbitmq.reading import Reading
from nexxus.errors import ServiceUnavailable
from nexxus.testing.journal import Journal


class OneLink:
    """A link that is always connected."""

    async def get(self) -> Any:
        return object()


class FailsWhenItEnds(Reading):
    """Reads in a task that fails when cancelled, like one whose channel closes then."""

    async def serve(self, connection: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            self.is_reading.set()

    async def _read(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ServiceUnavailable("the channel is closed") from None


async def test_a_failure_during_the_stop_does_not_hide_the_stop() -> None:
    link: Any = OneLink()
    reading = FailsWhenItEnds("a group", prefetch=1, link=link, logger=Journal())
    await reading.start(PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await reading.stop()
