"""The process: ports, signals and exit codes around a `Nexxus`.

Exit codes: 0 after draining, or if it was stopped before it was ready; 1 if the environment
prevents a start or a role fails; 2 if the configuration is invalid.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from starlette.types import Receive, Scope, Send

from nexxus.config import Config
from nexxus.errors import ConfigurationError, StartupError
from nexxus.observability.standard_logging import standard_logging_into
from nexxus.process.configuration_watch import ConfigurationWatch
from nexxus.process.listeners import Listener
from nexxus.server import Nexxus
from nexxus.version import __version__

_YOUNG_OBJECTS = 20_000
"""New objects after which the garbage collector runs.

With Python's default of 700 it runs several times during a batch of writes, on objects that are all
still needed. That costs 6 % of a writing server's CPU.
"""

_PROBES = 100
"""The most open connections to the health port; more are refused."""


def serve(config: Config, load: Callable[[], Config]) -> int:
    """Run a server until it is stopped, and return the exit code.

    `load` is called to reload the configuration when it may have changed.
    """
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(config, load))
    except ConfigurationError as error:
        print(f"nexxus: {error}", file=sys.stderr)
        return 2
    except StartupError as error:
        print(f"nexxus: {error}", file=sys.stderr)
        return 1


async def _serve(config: Config, load: Callable[[], Config]) -> int:
    nexxus = Nexxus(config)
    with standard_logging_into(nexxus.logger):
        return await _run(nexxus, load)


async def _run(nexxus: Nexxus, load: Callable[[], Config]) -> int:
    listeners = _Listeners(nexxus)
    listeners.bind()
    stopping = _stop_on_signals()
    async with AsyncExitStack() as ends:
        ends.push_async_callback(nexxus.stop)
        ends.push_async_callback(listeners.stop)
        if not await _unless(stopping, nexxus.start()):
            return 0
        # Before the ports close, so that clients are notified and load balancers see the drain.
        ends.push_async_callback(nexxus.drain)
        ends.callback(nexxus.logger.info, "Nexxus is stopping")
        await listeners.start()
        _collect_garbage_rarely()
        nexxus.logger.info(
            "Nexxus is ready", version=__version__, node=nexxus.node_id, **listeners.addresses()
        )
        watch = ConfigurationWatch(nexxus.config, load, nexxus.context)
        ends.push_async_callback(_end, asyncio.create_task(watch.run()))
        if nexxus.config.server.demo:
            demo = asyncio.create_task(_play_demo(nexxus, listeners))
            ends.push_async_callback(_end, demo)
        await _first(stopping.wait(), nexxus.failed())
    return 0 if stopping.is_set() else 1


class _Listeners:
    """The ports of the process's roles."""

    def __init__(self, nexxus: Nexxus) -> None:
        config, roles = nexxus.config, nexxus.config.server.roles
        self._nexxus = nexxus
        certificate, key = config.api.tls_certificate, config.api.tls_key
        shared: dict[str, Any] = {
            "tls": (certificate, key) if certificate else None,
            "drain_timeout": config.server.drain_timeout,
        }
        self.api: Listener | None = None
        self.gateway: Listener | None = None
        self.health: Listener | None = None
        if "api" in roles:
            self.api = Listener(
                self._serve_api,
                host=config.api.host,
                port=config.api.port,
                max_connections=config.api.max_connections + config.gateway.max_connections,
                setting="--port",
                **shared,
            )
        if "gateway" in roles and config.gateway.enabled:
            self.gateway = Listener(
                self._serve_gateway,
                host=config.gateway.host,
                port=config.gateway.port,
                max_connections=config.gateway.max_connections,
                setting="--gateway-port",
                **shared,
            )
        if config.health.port:
            self.health = Listener(
                self._serve_health,
                host=config.health.host,
                port=config.health.port,
                max_connections=_PROBES,
                setting="health.port",
                tls=None,
                drain_timeout=config.server.drain_timeout,
            )

    def bind(self) -> None:
        """Bind the ports, before anything is opened that would have to be closed on failure."""
        for listener in self._all():
            listener.bind()

    async def start(self) -> None:
        """Serve on all ports."""
        for listener in self._all():
            await listener.start()

    async def stop(self) -> None:
        """Close all ports."""
        await asyncio.gather(*(listener.stop() for listener in self._all()))

    def addresses(self) -> dict[str, str]:
        """Return the URLs of the ports by name."""
        named = {"api": self.api, "gateway": self.gateway, "health": self.health}
        return {name: listener.url for name, listener in named.items() if listener is not None}

    def _all(self) -> list[Listener]:
        every = (self.api, self.gateway, self.health)
        return [listener for listener in every if listener is not None]

    async def _serve_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._nexxus.health_app(scope, receive, send)

    async def _serve_gateway(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._nexxus.gateway_app(scope, receive, send)

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._nexxus.app(scope, receive, send)


def _collect_garbage_rarely() -> None:
    """Exclude the objects created at start from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


async def _play_demo(nexxus: Nexxus, listeners: _Listeners) -> None:
    from nexxus.demo.run import run

    if listeners.api is None:
        nexxus.logger.warning("the demo is not run; it needs the role api on this node")
        return
    gateway = listeners.gateway
    address = None if gateway is None else f"ws{gateway.url.removeprefix('http')}/"
    try:
        await run(listeners.api.url, nexxus.admin_key, gateway_url=address)
    except Exception as error:  # the server continues without the demo
        nexxus.logger.error("the demo failed", error=error)


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`, or cancel it when the process is stopped; return whether it was finished."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        await _end(task)
        return False
    await task
    return True


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _stop_on_signals() -> asyncio.Event:
    """Return an event set by the first SIGTERM or SIGINT; a second one exits immediately."""
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
