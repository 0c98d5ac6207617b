"""The link to Redis: a single server or a cluster, spoken to in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from nexxus.adapters.redis.problems import FAILURES, REFUSED, problem_of
from nexxus.adapters.redis.scripts import Script
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.errors import ConfigurationError, ServiceUnavailable, StartupError
from nexxus.toolkit.batching import Batcher

T = TypeVar("T")
Argument: TypeAlias = str | bytes | int | float
Command: TypeAlias = tuple[Argument, ...]
Facts: TypeAlias = dict[str, Any]
"""What a server says of itself: ``INFO``."""

DEPTH: Final = 500
"""Commands that are sent at once; between two such batches Redis serves other clients."""

_CLUSTER_RETRIES: Final = 3

_BROKEN: Final[Any] = (RedisConnectionError, RuntimeError)
"""A connection is broken; uvloop says so with a RuntimeError, which the library does not expect."""


class RedisLink:
    """Sends commands, bounded in time and number, and says what is wrong as `ServiceUnavailable`.

    A command whose connection breaks is sent once more, for the connection may have been stale
    since Redis restarted: whatever is sent must bear to be done twice.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._urls = [url.strip() for url in settings.url.split(",")]
        if len(self._urls) > 1 and not settings.cluster:
            raise ConfigurationError(
                "registry.url: several are for a cluster; name one, or set registry.cluster = true"
            )
        self._settings = settings
        self._gate = asyncio.Semaphore(settings.connections)
        # A command that is sent alone costs the client library several times what it costs Redis.
        self._batcher: Batcher[Command, Any] = Batcher(
            self._send, width=settings.connections, largest=DEPTH
        )
        self._client: Any = None

    @property
    def is_cluster(self) -> bool:
        """Whether keys of different tags may lie on different servers."""
        return self._settings.cluster

    async def open(self) -> list[Facts]:
        """Connect; what each server says of itself. Raises `StartupError` when refused."""
        self._client = self._new_cluster() if self.is_cluster else self._new_single()
        self._client.set_response_callback("SET", _as_it_is)
        try:
            return await self.facts()
        except ServiceUnavailable as problem:
            await self.close()
            if isinstance(problem.__cause__, REFUSED):
                raise StartupError(problem.message) from problem
            if "luster mode is not enabled" in str(problem.__cause__):
                raise StartupError(
                    "registry.cluster is true, but Redis is not a cluster"
                ) from problem
            raise

    async def close(self) -> None:
        """Let go of all connections; may be called twice."""
        client, self._client = self._client, None
        await self._batcher.close()
        if client is not None:
            await client.aclose()
            if not self.is_cluster:
                await client.connection_pool.disconnect()

    async def execute(self, *command: Argument) -> Any:
        """The answer to one command."""
        return (await self._ask([command]))[0]

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """What a script returns. Its keys have one hash tag."""
        rest = (len(keys), *keys, *arguments)
        try:
            return await self.execute("EVALSHA", script.digest, *rest)
        except NoScriptError:
            return await self.execute("EVAL", script.source, *rest)

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that need not be done in any order, nor all.

        Those on one key are done in the order given. When one fails, the others may be done.
        """
        answers: list[Any] = []
        for start in range(0, len(commands), DEPTH):
            answers += await self._ask(commands[start : start + DEPTH])
        return answers

    async def run_each(
        self, script: Script, calls: Sequence[tuple[Sequence[str], Command]]
    ) -> list[Any]:
        """What a script returns for each of some keys and arguments, as by `batch`."""
        answers: list[Any] = []
        for start in range(0, len(calls), DEPTH):
            bite = calls[start : start + DEPTH]
            commands = [
                ("EVALSHA", script.digest, len(keys), *keys, *arguments) for keys, arguments in bite
            ]
            try:
                answers += await self._ask(commands)
            except NoScriptError:
                answers += [await self.run(script, keys, *arguments) for keys, arguments in bite]
        return answers

    async def facts(self) -> list[Facts]:
        """What each server, of a cluster each primary, says of itself."""
        return [await self._on(node, "INFO") for node in await self._primaries()]

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """All keys that match, some at a time; keys that come or go meanwhile may be missing."""
        for node in await self._primaries():
            cursor = 0
            while True:
                cursor, keys = await self._on(node, "SCAN", cursor, "MATCH", pattern, "COUNT", 500)
                if keys:
                    yield [key.decode() for key in keys]
                if not cursor:
                    break

    async def _primaries(self) -> list[Any]:
        """The servers that hold keys; None stands for the only one."""
        if not self.is_cluster:
            return [None]

        async def find(client: Any) -> list[Any]:
            await client.initialize()
            return list(client.get_primaries())

        return await self._guarded(find)

    async def _on(self, node: Any, *command: Argument) -> Any:
        return await self._guarded(lambda client: (node or client).execute_command(*command))

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that all succeed; else the first error."""
        # Not together on a cluster: who asks a node that is up would wait for one that is down.
        send = self._send if self.is_cluster else self._batcher.ask

        async def ask(_: Any) -> list[Any]:
            answers = list(await send(commands))
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers

        return await self._guarded(ask)

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        async with asyncio.timeout(self._settings.timeout), self._gate:
            answers = await _send(self._client, commands)
            if any(isinstance(answer, _BROKEN) for answer in answers):
                # Of a cluster's pipelines, the library sends those again only that were redirected.
                answers = await _send(self._client, commands)
            return answers

    async def _guarded(self, call: Callable[[Any], Awaitable[T]]) -> T:
        client = self._client
        if client is None:
            raise ServiceUnavailable("the Redis registry is closed")
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await call(client)
        except TimeoutError as error:
            raise ServiceUnavailable(
                f"Redis gave no answer within {self._settings.timeout:g} s"
            ) from error
        except FAILURES as error:
            if isinstance(error, ReadOnlyError) and not self.is_cluster:
                # After a failover the same name may lead to another server.
                await client.connection_pool.disconnect(inuse_connections=False)
            problem = problem_of(error)
            if problem is None:
                raise
            raise problem from error

    def _new_single(self) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._urls[0],
            max_connections=self._settings.connections,
            timeout=None,  # ours counts
            retry=Retry(NoBackoff(), 1, supported_errors=_BROKEN),
            **self._connecting(),
        )
        return Redis(connection_pool=pool)

    def _new_cluster(self) -> RedisCluster:
        parsed = [parse_url(url) for url in self._urls]  # type: ignore[no-untyped-call]
        return RedisCluster.from_url(
            self._urls[0],
            startup_nodes=[ClusterNode(each["host"], each.get("port", 6379)) for each in parsed],
            max_connections=2 * self._settings.connections,  # more than the gate lets through
            retry=Retry(NoBackoff(), _CLUSTER_RETRIES),
            **self._connecting(),
        )

    def _connecting(self) -> dict[str, Any]:
        return {
            "protocol": 2,
            "socket_timeout": self._settings.timeout,
            "socket_connect_timeout": self._settings.connect_timeout,
        }


async def _send(client: Any, commands: Sequence[Command]) -> list[Any]:
    """An answer for each command, an error where it was refused."""
    if len(commands) == 1:
        try:
            return [await client.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def _as_it_is(answer: Any, **_: Any) -> Any:
    return answer
