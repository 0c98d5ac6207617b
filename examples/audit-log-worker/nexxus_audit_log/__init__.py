"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_audit_log.settings import AuditLogSettings

if TYPE_CHECKING:
    from nexxus.interfaces.worker import Worker


def create(settings: AuditLogSettings, context: AdapterContext) -> Worker:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_audit_log.worker import AuditLogWorker

    return AuditLogWorker(settings, data_dir=context.data_dir)


@hookimpl
def nexxus_workers() -> list[Adapter[Any, Worker]]:
    return [
        Adapter(
            "audit-log",
            AuditLogSettings,
            create,
            interface=1,
            summary="appends every change to a file",
        )
    ]
