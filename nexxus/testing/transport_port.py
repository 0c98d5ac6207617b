"""A port that serves a transport's mounts, for tests and measurements."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, TypeAlias

import uvicorn

from nexxus.api.answering import Answering
from nexxus.api.metrics import HttpMetrics
from nexxus.api.mounts import (
    MountAuthentication,
    Mounted,
    MountServer,
    MountServices,
    MountTable,
)
from nexxus.interfaces.transport import Transport, TransportHost
from nexxus.process.http_protocol import HttpProtocol
from nexxus.toolkit.rate_limit import RateLimit

Server: TypeAlias = Literal["ours", "asgi"]
"""What speaks HTTP: the server of a Nexxus process, or any that runs ASGI applications."""

_BODY: Final = 1024 * 1024


def mounts_app(
    transport: Transport,
    host: TransportHost,
    authentication: MountAuthentication,
    *,
    metrics: HttpMetrics | None = None,
    is_gateways: bool = False,
    requests_per_second: float = 0.0,
) -> MountServer:
    """Return an ASGI application with what a started transport mounts."""
    answering = Answering(metrics=metrics or HttpMetrics(), logger=host.logger, hsts_max_age=0)
    return MountServer(
        MountTable([Mounted(mount, host) for mount in transport.mounts], is_gateways=is_gateways),
        MountServices(
            answering=answering,
            authentication=authentication,
            rate_limit=RateLimit(requests_per_second),
            body_limit=_BODY,
        ),
    )


@asynccontextmanager
async def serving(app: Any, *, server: Server = "ours", **options: Any) -> AsyncIterator[int]:
    """Serve an ASGI application on a free port of 127.0.0.1, which is what this yields."""
    settings: dict[str, Any] = {"http": HttpProtocol, "ws": "none"}
    if server == "asgi":
        settings = {"ws": "websockets-sansio", "ws_per_message_deflate": False}
    settings |= {"port": 0, "loop": "none", "lifespan": "off", "log_config": None, **options}
    config = uvicorn.Config(app, **settings)
    running = _Server(config)
    task = asyncio.create_task(running.serve())
    try:
        while not running.started:
            if task.done():
                await task
            await asyncio.sleep(0)
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.force_exit = True
        running.ended.set()
        await task


class _Server(uvicorn.Server):
    """A server that leaves signals to the test run, and ends as soon as it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
