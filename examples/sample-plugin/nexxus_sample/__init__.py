"""The plugin's hooks. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_sample.settings import AuditLogSettings, FileLoggerSettings

if TYPE_CHECKING:
    from nexxus.interfaces.logger import Logger
    from nexxus.interfaces.worker import Worker


def _create_audit_log(settings: AuditLogSettings, context: AdapterContext) -> Worker:
    from nexxus_sample.audit_log import AuditLog

    return AuditLog(settings, data_dir=context.data_dir)


def _create_file_logger(settings: FileLoggerSettings, context: AdapterContext) -> Logger:
    from nexxus_sample.file_logger import FileLogger

    return FileLogger(settings, data_dir=context.data_dir, node=context.node)


@hookimpl
def nexxus_workers() -> list[Adapter[Any, Worker]]:
    return [
        Adapter(
            "audit-log",
            AuditLogSettings,
            _create_audit_log,
            interface=1,
            summary="appends every change to a file",
        )
    ]


@hookimpl
def nexxus_loggers() -> list[Adapter[Any, Logger]]:
    return [
        Adapter(
            "file",
            FileLoggerSettings,
            _create_file_logger,
            interface=1,
            summary="JSON lines in a file",
        )
    ]
