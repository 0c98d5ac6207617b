"""A bad network: a TCP proxy that delays, stalls, resets, and leaves connections half open."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from contextlib import suppress
from typing import Final, Self

ALL: Final = slice(None)
"""All connections that there are now."""

_CHUNK: Final = 65_536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class TcpProxy:
    """Passes bytes between those who connect to `port` and one of the `upstreams`.

    The upstreams, ports of 127.0.0.1, are taken in turn, and one that refuses is passed over: with
    several of them this is the load balancer before nodes that share a role. `port` stays the same
    and is listened on until `close`; where no upstream takes a connection, it is reset.

    `delay` holds every chunk of bytes up so many seconds, either way; `refuses` resets connections
    when they are made; `stalled` lets nothing pass, connections and bytes wait.
    """

    def __init__(self, *upstreams: int) -> None:
        self.port = 0
        self.delay = 0.0
        self.refuses = False
        self._upstreams = upstreams
        self._turns = itertools.count()
        self._flows = asyncio.Event()
        self._flows.set()
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and reset all connections."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._links.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What is wrong with the network

    @property
    def connections(self) -> int:
        """How many there are, those included whose other end has been left behind."""
        return len(self._links)

    @property
    def stalled(self) -> bool:
        """Whether bytes and new connections wait."""
        return not self._flows.is_set()

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        if stalled:
            self._flows.clear()
        else:
            self._flows.set()

    def reset(self, which: slice = ALL) -> None:
        """Reset these connections, the oldest first, whatever is on its way."""
        for task in list(self._links.values())[which]:
            task.cancel()

    def leave_half_open(self, which: slice = ALL) -> None:
        """Let neither end of these connections hear of the other again, not even of its end.

        New connections are as good as ever.
        """
        for link in list(self._links)[which]:
            link.is_dead = True

    # How bytes pass

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._links[link] = task
        try:
            if self.refuses:
                link.reset()
                return
            await self._flows.wait()
            await link.carry(self._next_upstreams())
        except (OSError, asyncio.CancelledError):
            link.reset()  # what befell one end, of itself or by `reset`, befalls the other
        else:
            link.close()
        finally:
            del self._links[link]

    def _next_upstreams(self) -> tuple[int, ...]:
        turn = next(self._turns) % len(self._upstreams)
        return self._upstreams[turn:] + self._upstreams[:turn]

    async def pause(self) -> None:
        """What a chunk has to wait before it goes on."""
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._flows.wait()


class _Link:
    """One connection to the proxy and the one from it, which both end when one does."""

    def __init__(
        self, proxy: TcpProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.is_dead = False
        self._proxy = proxy
        self._reader = reader
        self._writers = [writer]

    async def carry(self, upstreams: tuple[int, ...]) -> None:
        """Pass bytes until an end closes; raises OSError where one is not there or is reset."""
        reader, writer = await self._connect(upstreams)
        self._writers.append(writer)
        out = asyncio.create_task(self._pump(self._reader, writer))
        back = asyncio.create_task(self._pump(reader, self._writers[0]))
        try:
            ended, _ = await asyncio.wait((out, back), return_when=asyncio.FIRST_COMPLETED)
            if self.is_dead:
                ended = {out}  # whatever the upstream does, who connected does not hear of it
            await asyncio.gather(*ended)
        finally:
            out.cancel()
            back.cancel()
            await asyncio.gather(out, back, return_exceptions=True)

    async def _connect(
        self, upstreams: tuple[int, ...]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for port in upstreams[:-1]:
            with suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
        return await asyncio.open_connection("127.0.0.1", upstreams[-1])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._proxy.pause()
            if not self.is_dead:
                writer.write(chunk)
                await writer.drain()

    def close(self) -> None:
        """Close both ends when what is on its way has gone out."""
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        """Reset both ends; what is on its way is lost."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
