"""A plugin for tests: the examples' audit log, but sick of poison, and it gives up soon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nexxus.domain.events import Event
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_audit_log.settings import AuditLogSettings

POISON = "poison"
"""The title of an object that cannot be handled until there is a file ``cure``."""


def _create(settings: Any, context: AdapterContext) -> Any:
    from nexxus_audit_log.worker import AuditLogWorker

    class ImpatientLog(AuditLogWorker):
        attempts = 3

        def __init__(self, settings: Any, *, data_dir: Path) -> None:
            super().__init__(settings, data_dir=data_dir)
            self._cure = data_dir / "cure"

        async def handle(self, events: Sequence[Event]) -> None:
            poisoned = any((event.after or {}).get("title") == POISON for event in events)
            if poisoned and not self._cure.exists():
                raise ValueError("this is poison")
            await super().handle(events)

    return ImpatientLog(settings, data_dir=context.data_dir)


@hookimpl
def nexxus_workers() -> list[Adapter]:
    return [
        Adapter(
            "impatient-log",
            AuditLogSettings,
            _create,
            interface=1,
            summary="appends every change to a file, but for poison",
        )
    ]
