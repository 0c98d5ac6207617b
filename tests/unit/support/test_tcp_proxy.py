"""The proxy that simulates a bad network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tcp_proxy import TcpProxy
from waiting import eventually

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """An echo service that reports when a client disconnects."""

    def __init__(self) -> None:
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while chunk := await reader.read(1000):
                writer.write(chunk)
        except ConnectionResetError:
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await echo.serve()
    yield echo
    server.close()
    await eventually(lambda: not echo.writers)


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(echo.port) as proxy:
        yield proxy


async def connect(proxy: TcpProxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def echoed(ends: Ends, sent: bytes = b"hello") -> bytes:
    reader, writer = ends
    writer.write(sent)
    return await reader.readexactly(len(sent))


async def is_reset(ends: Ends) -> bool:
    try:
        return await ends[0].read(1) != b""
    except ConnectionResetError:
        return True


async def test_bytes_pass_both_ways_and_a_close_is_passed_on(proxy: TcpProxy, echo: Echo) -> None:
    ends = await connect(proxy)
    assert await echoed(ends, b"x" * 300_000) == b"x" * 300_000
    ends[1].close()
    await eventually(lambda: not echo.writers and proxy.connections == 0)


async def test_data_sent_before_a_close_arrives(proxy: TcpProxy, echo: Echo) -> None:
    reader, writer = await connect(proxy)
    await echoed((reader, writer))
    for served in echo.writers:
        served.write(b"goodbye")
        served.close()
    assert await reader.read() == b"goodbye"
    writer.close()


async def test_a_reset_is_seen_by_both_ends_and_new_connections_work(
    proxy: TcpProxy, echo: Echo
) -> None:
    ends = await connect(proxy)
    await echoed(ends)
    proxy.reset()
    assert await is_reset(ends)
    await eventually(lambda: not echo.writers)
    ends = await connect(proxy)
    assert await echoed(ends) == b"hello"
    ends[1].close()


async def test_only_the_selected_connections_are_reset(proxy: TcpProxy) -> None:
    one, other = await connect(proxy), await connect(proxy)
    await echoed(one)
    await echoed(other)
    proxy.reset(slice(1, None, 2))
    assert await is_reset(other)
    assert await echoed(one) == b"hello"
    one[1].close()


async def test_connections_are_reset_while_they_are_refused(proxy: TcpProxy) -> None:
    proxy.refuses = True
    assert await is_reset(await connect(proxy))
    proxy.refuses = False
    ends = await connect(proxy)
    assert await echoed(ends) == b"hello"
    ends[1].close()


async def test_stalled_or_delayed_data_arrives_complete_afterwards(proxy: TcpProxy) -> None:
    ends = await connect(proxy)
    proxy.stalled = True
    answer = asyncio.create_task(echoed(ends))
    late = await connect(proxy)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.shield(answer)
    proxy.delay = 0.01
    proxy.stalled = False
    assert await answer == b"hello"
    assert await echoed(late) == b"hello"
    ends[1].close()
    late[1].close()


async def test_a_half_open_connection_receives_nothing_not_even_its_end(
    proxy: TcpProxy, echo: Echo
) -> None:
    reader, writer = await connect(proxy)
    await echoed((reader, writer))
    proxy.leave_half_open()
    writer.write(b"into the void")
    for served in list(echo.writers):
        served.write(b"from the void")
        served.close()
    fresh = await connect(proxy)
    assert await echoed(fresh) == b"hello"
    fresh[1].close()
    await eventually(lambda: proxy.connections == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)
    writer.close()
    await eventually(lambda: proxy.connections == 0)


async def test_upstreams_take_turns_and_one_that_is_down_is_passed_over(echo: Echo) -> None:
    other = Echo()
    server = await other.serve()
    async with TcpProxy(echo.port, other.port) as proxy:
        both = [await connect(proxy), await connect(proxy)]
        for ends in both:
            await echoed(ends)
        assert len(echo.writers) == len(other.writers) == 1
        for _, writer in both:
            writer.close()
        await eventually(lambda: not other.writers)
        server.close()
        for _ in range(2):
            ends = await connect(proxy)
            assert await echoed(ends) == b"hello"
            ends[1].close()


async def test_without_an_upstream_a_connection_is_reset(echo: Echo) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    async with TcpProxy(port) as proxy:
        assert await is_reset(await connect(proxy))
