"""The adapters that come with Nexxus, offered through the same hooks as any plugin's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexxus.adapters.elasticsearch.settings import ElasticsearchSettings
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.adapters.loguru.settings import LoguruSettings
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.redis.settings import RedisSettings
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.adapters.sse.settings import SseSettings
from nexxus.errors import ConfigurationError
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.logger import Logger

if TYPE_CHECKING:
    from nexxus.interfaces.auth_strategy import AuthStrategy
    from nexxus.interfaces.broker import Broker
    from nexxus.interfaces.config_provider import ConfigProvider
    from nexxus.interfaces.database import Database
    from nexxus.interfaces.registry import Registry
    from nexxus.interfaces.transport import Transport


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Say what to install if an adapter's client library is missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f'the adapter "{name}" needs {error.name}: pip install "nexxus[{name}]"'
        ) from error


def _sqlite(settings: SqliteSettings, context: AdapterContext) -> Database:
    from nexxus.adapters.sqlite.database import SqliteDatabase

    return SqliteDatabase(settings, data_dir=context.data_dir)


def _elasticsearch(
    settings: ElasticsearchSettings,
    context: AdapterContext,  # noqa: ARG001
) -> Database:
    with _extra("elasticsearch"):
        from nexxus.adapters.elasticsearch.database import ElasticsearchDatabase

    return ElasticsearchDatabase(settings)


def _in_process_broker(
    settings: InProcessBrokerSettings,
    context: AdapterContext,  # noqa: ARG001
) -> Broker:
    from nexxus.adapters.in_process.broker import InProcessBroker

    return InProcessBroker(settings)


def _rabbitmq(settings: RabbitMQSettings, context: AdapterContext) -> Broker:
    with _extra("rabbitmq"):
        from nexxus.adapters.rabbitmq.broker import RabbitMQBroker

    return RabbitMQBroker(settings, logger=context.logger, node=context.node)


def _in_process_registry(settings: InProcessRegistrySettings, context: AdapterContext) -> Registry:
    from nexxus.adapters.in_process.registry import InProcessRegistry

    registry = InProcessRegistry(settings, data_dir=context.data_dir, logger=context.logger)
    context.figures.read(registry.figures)
    return registry


def _redis(settings: RedisSettings, context: AdapterContext) -> Registry:
    with _extra("redis"):
        from nexxus.adapters.redis.registry import RedisRegistry

    registry = RedisRegistry(settings, logger=context.logger)
    context.figures.read(registry.figures)
    return registry


def _loguru(settings: LoguruSettings, context: AdapterContext) -> Logger:
    from nexxus.adapters.loguru.logger import LoguruLogger

    return LoguruLogger(settings, node=context.node)


def _local(settings: None, context: AdapterContext) -> AuthStrategy[Any]:  # noqa: ARG001
    from nexxus.adapters.local.auth_strategy import LocalStrategy

    return LocalStrategy()


def _google(settings: None, context: AdapterContext) -> AuthStrategy[Any]:  # noqa: ARG001
    from nexxus.adapters.openid_connect.auth_strategy import Google

    return Google()


def _openid(settings: None, context: AdapterContext) -> AuthStrategy[Any]:  # noqa: ARG001
    from nexxus.adapters.openid_connect.auth_strategy import OpenIdConnect

    return OpenIdConnect()


def _websockets(settings: None, context: AdapterContext) -> Transport:  # noqa: ARG001
    from nexxus.adapters.websockets.transport import WebSocketTransport

    return WebSocketTransport()


def _sse(settings: SseSettings, context: AdapterContext) -> Transport:  # noqa: ARG001
    from nexxus.adapters.sse.transport import SseTransport

    return SseTransport(settings)


def _env(settings: None, context: AdapterContext) -> ConfigProvider:  # noqa: ARG001
    from nexxus.adapters.env.config_provider import EnvironmentProvider

    return EnvironmentProvider()


def _file(settings: None, context: AdapterContext) -> ConfigProvider:  # noqa: ARG001
    from nexxus.adapters.file.config_provider import FileProvider

    return FileProvider()


@hookimpl
def nexxus_databases() -> list[Adapter[Any, Database]]:
    return [
        Adapter(
            "sqlite",
            SqliteSettings,
            _sqlite,
            interface=1,
            scope="process",
            summary="one file in the data directory",
        ),
        Adapter(
            "elasticsearch",
            ElasticsearchSettings,
            _elasticsearch,
            interface=1,
            scope="shared",
            summary="indices of Elasticsearch 8.8 or later",
        ),
    ]


@hookimpl
def nexxus_brokers() -> list[Adapter[Any, Broker]]:
    return [
        Adapter(
            "in-process",
            InProcessBrokerSettings,
            _in_process_broker,
            interface=1,
            scope="process",
            summary="queues in memory",
        ),
        Adapter(
            "rabbitmq",
            RabbitMQSettings,
            _rabbitmq,
            interface=1,
            scope="shared",
            summary="quorum queues of RabbitMQ 3.10 or later",
        ),
    ]


@hookimpl
def nexxus_registries() -> list[Adapter[Any, Registry]]:
    return [
        Adapter(
            "in-process",
            InProcessRegistrySettings,
            _in_process_registry,
            interface=1,
            scope="process",
            summary="in memory, what must survive in the data directory",
        ),
        Adapter(
            "redis",
            RedisSettings,
            _redis,
            interface=1,
            scope="shared",
            summary="Redis 7 or later, single or a cluster",
        ),
    ]


@hookimpl
def nexxus_transports() -> list[Adapter[Any, Transport]]:
    return [
        Adapter(
            "websockets",
            None,
            _websockets,
            interface=1,
            summary="at /ws on the API's port, and on the gateway's own",
        ),
        Adapter(
            "sse",
            SseSettings,
            _sse,
            interface=1,
            summary="server-sent events, at /sse on the API's port and on the gateway's own",
        ),
    ]


@hookimpl
def nexxus_loggers() -> list[Adapter[Any, Logger]]:
    return [
        Adapter(
            "loguru",
            LoguruSettings,
            _loguru,
            interface=1,
            summary="text or JSON lines on standard error",
        )
    ]


@hookimpl
def nexxus_auth_strategies() -> list[Adapter[Any, AuthStrategy[Any]]]:
    return [
        Adapter("local", None, _local, interface=1, summary="a user name and a password"),
        Adapter("google", None, _google, interface=1, summary="accounts of Google"),
        Adapter(
            "openid",
            None,
            _openid,
            interface=1,
            summary="any OpenID Connect provider, by its issuer",
        ),
    ]


@hookimpl
def nexxus_config_providers() -> list[Adapter[Any, ConfigProvider]]:
    return [
        Adapter(
            "env",
            None,
            _env,
            interface=1,
            summary="${env:NAME} stands for an environment variable",
        ),
        Adapter("file", None, _file, interface=1, summary="${file:/path} stands for a file's text"),
    ]
