"""The link to Elasticsearch: one client for everything, and when it may be used."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from elastic_transport import JsonSerializer, TlsError
from elasticsearch import (
    ApiError,
    AsyncElasticsearch,
    TransportError,
    UnsupportedProductError,
)

from nexxus.adapters.elasticsearch.problems import describe, unavailable
from nexxus.adapters.elasticsearch.settings import ElasticsearchSettings
from nexxus.errors import ServiceUnavailable, StartupError

_OLDEST: Final = (8, 8)
_NEWEST_MAJOR: Final = 8
_DEAD_NODE_SECONDS: Final = 5.0


class _Json(JsonSerializer):
    """JSON by msgspec: a page of a thousand objects takes a quarter less time as a whole."""

    mimetype = "application/vnd.elasticsearch+json"

    def json_dumps(self, data: Any) -> bytes:
        return msgspec.json.encode(data)

    def json_loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class ElasticsearchLink:
    """Lends its client to any number of calls, and ends when the last of them has ended.

    Only reads are repeated, on another Elasticsearch node if there is one: if a write got no
    answer, the answer to its repetition would be ambiguous. A node that does not answer is avoided
    for some seconds, if there are others.
    """

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._client: AsyncElasticsearch | None = None
        self._calls: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Check that the server has a supported version and accepts the credentials.

        Raises `StartupError` for an error that waiting does not fix, otherwise
        `ServiceUnavailable`.
        """
        client = self._new_client()
        try:
            await self._check(client)
        except BaseException:
            await client.close()
            raise
        self._client = client

    async def close(self) -> None:
        """Wait for the calls under way, then disconnect; may be called twice."""
        client, self._client = self._client, None
        if self._calls:
            await asyncio.wait(self._calls)
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def call(self, *, reads: bool = False) -> AsyncIterator[AsyncElasticsearch]:
        """The client, for one call that `reads` only or not.

        What it raises becomes `ServiceUnavailable`.
        """
        client = self._client
        if client is None:
            raise ServiceUnavailable("the database is closed")
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls.add(ended)
        try:
            with unavailable():
                yield client.options(max_retries=len(self._settings.urls)) if reads else client
        finally:
            self._calls.discard(ended)
            ended.set_result(None)

    def _new_client(self) -> AsyncElasticsearch:
        settings = self._settings
        options: dict[str, Any] = {}
        if settings.api_key:
            options["api_key"] = settings.api_key
        elif settings.username:
            options["basic_auth"] = (settings.username, settings.password)
        try:
            if settings.ca_file:
                options["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file)
            return AsyncElasticsearch(
                list(settings.urls),
                request_timeout=settings.request_timeout,
                connections_per_node=settings.connections,
                max_retries=0,
                retry_on_timeout=False,
                retry_on_status=(),
                max_dead_node_backoff=_DEAD_NODE_SECONDS,
                serializers={_Json.mimetype: _Json()},
                **options,
            )
        except (ValueError, OSError) as error:  # an unusable certificate is an OSError, too
            raise StartupError(
                f"database.urls, database.ca_file: {error}; give URLs such as "
                "http://elasticsearch:9200, and a readable PEM file or none"
            ) from error

    async def _check(self, client: AsyncElasticsearch) -> None:
        try:
            told = await client.info()
        except (TlsError, UnsupportedProductError) as error:
            raise StartupError(_wrong(error)) from error
        except (ApiError, TransportError) as error:
            if isinstance(error, ApiError) and error.meta.status in (400, 401, 403, 404):
                raise StartupError(_wrong(error)) from error
            raise ServiceUnavailable(describe(error)) from error
        number = str(told["version"]["number"])
        major, minor = (int(part) for part in number.split(".")[:2])
        if (major, minor) < _OLDEST or major > _NEWEST_MAJOR:
            raise StartupError(
                f"database.urls: Elasticsearch {number} is not supported; "
                f"run {_OLDEST[0]}.{_OLDEST[1]} or a later one of the versions {_NEWEST_MAJOR}"
            )


def _wrong(error: ApiError | TransportError | UnsupportedProductError) -> str:
    if isinstance(error, UnsupportedProductError):
        return "database.urls: what answers there is not Elasticsearch 8"
    return describe(error)
