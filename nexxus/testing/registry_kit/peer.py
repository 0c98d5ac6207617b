"""A peer: another process that has the registry open, and can be killed or made to stall."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import PATIENCE

OpenRegistry: TypeAlias = Callable[[], Registry]
"""Creates a registry on the storage under test, in whatever process it is called."""


class _Call(NamedTuple):
    """A method of the registry, such as ``nodes.announce``, and its arguments."""

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class Peer:
    """Calls methods of the registry in another process, one after another."""

    def __init__(self, process: SpawnProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return what a method such as ``nodes.announce`` returns there."""
        self.begin(method, *arguments, **options)
        return await self.outcome()

    def begin(self, method: str, *arguments: Any, **options: Any) -> None:
        """Have a method called, without waiting for it."""
        self._connection.send(_Call(method, arguments, options))

    async def outcome(self) -> Any:
        """Return what the method that was begun has returned."""
        async with asyncio.timeout(PATIENCE):
            while not self._connection.poll():  # noqa: ASYNC110 - a pipe has no event
                await asyncio.sleep(0.01)
        outcome = self._connection.recv()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        self._process.kill()
        self._process.join()

    def stall(self) -> None:
        """Let the process do nothing until `wake`."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process go on after `stall`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


@asynccontextmanager
async def running_peer(open_registry: OpenRegistry) -> AsyncIterator[Peer]:
    """Start a peer, and kill it afterwards. `open_registry` has to be picklable."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, open_registry), daemon=True)
    process.start()
    theirs.close()
    peer = Peer(process, ours)
    try:
        await peer.outcome()  # it is open
        yield peer
    finally:
        peer.kill()
        ours.close()


def _serve(connection: Connection, open_registry: OpenRegistry) -> None:
    asyncio.run(_answer(connection, open_registry()))


async def _answer(connection: Connection, registry: Registry) -> None:
    await registry.open()
    connection.send(None)
    while True:
        call: _Call = await asyncio.to_thread(connection.recv)
        try:
            method = attrgetter(call.method)(registry)
            connection.send(await method(*call.arguments, **call.options))
        except Exception as error:  # the caller's to judge
            connection.send(error)
