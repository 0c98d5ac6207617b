"""The adapters that come with Nexxus, offered through the same hooks as anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nexxus.errors import ConfigurationError
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Say what to install where an adapter's client library is missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f'the adapter "{name}" needs {error.name}: pip install "nexxus[{name}]"'
        ) from error


def _sqlite(settings: Any, context: AdapterContext) -> Any:
    from nexxus.adapters.sqlite.database import SqliteDatabase

    return SqliteDatabase(settings, data_dir=context.data_dir)


def _elasticsearch(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    with _extra("elasticsearch"):
        from nexxus.adapters.elasticsearch.database import ElasticsearchDatabase

    return ElasticsearchDatabase(settings)


def _in_process_broker(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    from nexxus.adapters.in_process.broker import InProcessBroker

    return InProcessBroker(settings)


def _rabbitmq(settings: Any, context: AdapterContext) -> Any:
    with _extra("rabbitmq"):
        from nexxus.adapters.rabbitmq.broker import RabbitMQBroker

    return RabbitMQBroker(settings, node=context.node)


def _in_process_registry(settings: Any, context: AdapterContext) -> Any:
    from nexxus.adapters.in_process.registry import InProcessRegistry

    return InProcessRegistry(settings, data_dir=context.data_dir)


def _redis(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    with _extra("redis"):
        from nexxus.adapters.redis.registry import RedisRegistry

    return RedisRegistry(settings)


def _loguru(settings: Any, context: AdapterContext) -> Any:
    from nexxus.adapters.loguru_logger import LoguruLogger

    return LoguruLogger(settings, node=context.node)


def _google(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    from nexxus.adapters.openid_connect import GOOGLE, OpenIdConnect

    return OpenIdConnect(GOOGLE)


def _openid(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    from nexxus.adapters.openid_connect import OpenIdConnect

    return OpenIdConnect()


def _websockets(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    from nexxus.adapters.websockets import WebSocketTransport

    return WebSocketTransport()


@hookimpl
def nexxus_databases() -> list[Adapter]:
    return [
        Adapter(
            "sqlite",
            "nexxus.adapters.sqlite.database:SqliteSettings",
            _sqlite,
            "one file in the data directory; for one process",
        ),
        Adapter(
            "elasticsearch",
            "nexxus.adapters.elasticsearch.settings:ElasticsearchSettings",
            _elasticsearch,
            "indices of Elasticsearch 8.8 or later; for any number of nodes",
        ),
    ]


@hookimpl
def nexxus_brokers() -> list[Adapter]:
    return [
        Adapter(
            "in-process",
            "nexxus.adapters.in_process.broker:InProcessBrokerSettings",
            _in_process_broker,
            "queues in memory; for one process",
        ),
        Adapter(
            "rabbitmq",
            "nexxus.adapters.rabbitmq.settings:RabbitMQSettings",
            _rabbitmq,
            "quorum queues of RabbitMQ 3.10 or later; for any number of nodes",
        ),
    ]


@hookimpl
def nexxus_registries() -> list[Adapter]:
    return [
        Adapter(
            "in-process",
            "nexxus.adapters.in_process.registry:InProcessRegistrySettings",
            _in_process_registry,
            "in memory, what must survive in the data directory; for one process",
        ),
        Adapter(
            "redis",
            "nexxus.adapters.redis.settings:RedisSettings",
            _redis,
            "Redis 7 or later, single or a cluster; for any number of nodes",
        ),
    ]


@hookimpl
def nexxus_transports() -> list[Adapter]:
    return [
        Adapter("websockets", "", _websockets, "at /ws on the API's port, and on the gateway's own")
    ]


@hookimpl
def nexxus_loggers() -> list[Adapter]:
    return [
        Adapter(
            "loguru",
            "nexxus.adapters.loguru_logger:LoguruSettings",
            _loguru,
            "text or JSON lines on standard error",
        )
    ]


@hookimpl
def nexxus_auth_strategies() -> list[Adapter]:
    return [
        Adapter("google", "", _google, "accounts of Google"),
        Adapter("openid", "", _openid, "any OpenID Connect provider, by its issuer"),
    ]
