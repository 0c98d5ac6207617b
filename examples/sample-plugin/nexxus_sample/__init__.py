"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl


def _create_audit_log(settings: Any, context: AdapterContext) -> Any:
    from nexxus_sample.audit_log import AuditLog

    return AuditLog(settings, data_dir=context.data_dir)


def _create_file_logger(settings: Any, context: AdapterContext) -> Any:
    from nexxus_sample.file_logger import FileLogger

    return FileLogger(settings, data_dir=context.data_dir, node=context.node)


@hookimpl
def nexxus_workers() -> list[Adapter]:
    return [
        Adapter(
            "audit-log",
            "nexxus_sample.audit_log:AuditLogSettings",
            _create_audit_log,
            "appends every change to a file",
        )
    ]


@hookimpl
def nexxus_loggers() -> list[Adapter]:
    return [
        Adapter(
            "file",
            "nexxus_sample.file_logger:FileLoggerSettings",
            _create_file_logger,
            "JSON lines in a file",
        )
    ]
