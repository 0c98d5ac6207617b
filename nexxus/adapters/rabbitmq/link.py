"""A connection to RabbitMQ that is made again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Generic, TypeVar

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import (
    AMQPException,
    AuthenticationError,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ConnectionNotAllowed

from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.logger import Logger
from nexxus.observability.redaction import redact_text
from nexxus.toolkit.backoff import Backoff

_AGAIN: Final = Backoff(first=0.1, longest=2.0)
_CLOSING: Final = 2.0

# It logs every failed attempt as an error; `Link` says once that RabbitMQ is away, and when it is
# back.
logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)

AWAY: Final = (AMQPException, OSError, TimeoutError, EOFError, RuntimeError)
"""What the client library raises when RabbitMQ is away, or goes while something is under way.

`RuntimeError` is what it says of a connection or channel that is closed already.
"""

_WRONG: Final = (
    AuthenticationError,
    ProbableAuthenticationError,
    ConnectionNotAllowed,
    IncompatibleProtocolError,
)

L = TypeVar("L")


@contextmanager
def unavailable_when_away() -> Iterator[None]:
    """Turn what the client library raises when RabbitMQ is away into `ServiceUnavailable`.

    The library rejects what waits on a lost connection with a `CancelledError`, too; only one
    that was asked for by this task's owner is passed on.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ServiceUnavailable("the connection to RabbitMQ was lost") from None
    except AWAY as error:
        raise ServiceUnavailable(f"RabbitMQ is away: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """An error of the client library in one line, without the password of an address."""
    return redact_text(f"{type(error).__name__} {error}".strip())


class Link(Generic[L]):
    """Keeps one connection, and what `equip` makes on it, for as long as it is open.

    `name` is shown in RabbitMQ's list of connections. What `equip` returns is handed out by
    `get`, until the connection, or what `fail` is told of, is lost; then all is made again.
    """

    def __init__(
        self,
        settings: RabbitMQSettings,
        name: str,
        equip: Callable[[AbstractConnection], Awaitable[L]],
        logger: Logger,
    ) -> None:
        self._settings = settings
        self._name = name
        self._equip = equip
        self._logger = logger
        self._urls = [url.strip() for url in settings.url.split(",")]
        self._equipped: asyncio.Future[L] | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; `StartupError` when RabbitMQ refuses us, `ServiceUnavailable` when away."""
        self._equipped = asyncio.get_running_loop().create_future()
        connection = await self._connect_once()
        self._task = asyncio.create_task(self._keep(connection))

    async def close(self) -> None:
        """Let go; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._equipped is not None and not self._equipped.done():
            self._equipped.cancel()
        self._equipped = None

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`, connected or not."""
        return self._task is not None

    async def get(self, patience: float | None = None) -> L:
        """What `equip` made; waits `patience` seconds, None for ever, for a lost connection.

        Raises `ServiceUnavailable` when it does not come back, or the link is closed.
        """
        equipped = self._equipped
        if equipped is None or self._task is None:
            raise ServiceUnavailable("the RabbitMQ broker is closed")
        if not equipped.done():
            await asyncio.wait((equipped,), timeout=patience)
        if not equipped.done() or equipped.cancelled():
            raise ServiceUnavailable("RabbitMQ is away")
        return equipped.result()

    def fail(self, equipped: L) -> None:
        """Say that what `get` returned does not work any more."""
        current = self._equipped
        if current is not None and current.done() and current.result() is equipped:
            self._lost.set()

    async def _keep(self, connection: AbstractConnection) -> None:
        try:
            while True:
                await self._lost.wait()
                self._equipped = asyncio.get_running_loop().create_future()
                self._logger.warning("the connection to RabbitMQ was lost", connection=self._name)
                await _let_go(connection)
                connection = await self._connect()
                self._logger.warning("the connection to RabbitMQ is back", connection=self._name)
        finally:
            await _let_go(connection)

    async def _connect(self) -> AbstractConnection:
        failures = 0
        while True:
            try:
                return await self._connect_once()
            except (ServiceUnavailable, StartupError) as error:
                self._logger.info("RabbitMQ cannot be reached", reason=str(error))
            except Exception as error:  # whatever the library raises, it must not end the link
                self._logger.error("RabbitMQ cannot be reached", error=error)
            failures += 1
            await asyncio.sleep(_AGAIN.delay(failures))

    async def _connect_once(self) -> AbstractConnection:
        failure: Exception | None = None
        for url in self._urls:
            try:
                return await self._connect_to(url)
            except _WRONG as error:
                failure = StartupError(f"RabbitMQ refuses broker.url: {describe(error)}")
            except ServiceUnavailable as error:
                failure = error
        assert failure is not None, "there is at least one address"
        raise failure

    async def _connect_to(self, url: str) -> AbstractConnection:
        lost = asyncio.Event()
        timeout = self._settings.connect_timeout
        connection = aio_pika.Connection(
            make_url(url, heartbeat=self._settings.heartbeat),
            client_properties={"connection_name": self._name},
        )
        try:
            with unavailable_when_away_unless_wrong():
                await connection.connect(timeout)
            connection.close_callbacks.add(lambda *_: lost.set())
            async with asyncio.timeout(timeout):
                with unavailable_when_away():
                    equipped = await self._equip(connection)
        except BaseException as error:
            await _let_go(connection)
            if isinstance(error, TimeoutError):
                raise ServiceUnavailable("RabbitMQ accepts connections, but nothing else") from None
            raise
        self._lost = lost
        assert self._equipped is not None
        self._equipped.set_result(equipped)
        return connection


@contextmanager
def unavailable_when_away_unless_wrong() -> Iterator[None]:
    """Like `unavailable_when_away`, but pass on errors that waiting does not fix."""
    try:
        with unavailable_when_away():
            yield
    except ServiceUnavailable as error:
        if isinstance(error.__cause__, _WRONG):
            raise error.__cause__ from None
        raise


async def _let_go(connection: AbstractConnection) -> None:
    # Not every `CancelledError` is the library's: whoever closes the link waits for ours.
    with suppress(Exception), unavailable_when_away():
        async with asyncio.timeout(_CLOSING):
            await connection.close()
