"""A connection that is reset during a write, on the event loop of `nexxus serve`."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import uvloop

from nexxus.adapters.redis.link import RedisLink
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.errors import ServiceUnavailable

ASKERS = 20
ROUNDS = 20


async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(random.random() * 0.01)
    writer.transport.abort()


async def ask_of_a_server_that_resets() -> Counter[type]:
    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = RedisSettings(url=f"redis://127.0.0.1:{port}/0")
    ends: Counter[type] = Counter()
    for _ in range(ROUNDS):
        asked = [RedisLink(settings).open() for _ in range(ASKERS)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        ends.update(type(answer) for answer in answers)
    server.close()
    return ends


def test_every_command_on_a_connection_that_is_reset_is_a_503() -> None:
    ends = uvloop.run(ask_of_a_server_that_resets())
    assert set(ends) == {ServiceUnavailable}
