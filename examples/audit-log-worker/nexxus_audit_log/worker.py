"""A custom worker that writes a JSON line for every change."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nexxus.domain.events import Event
from nexxus.interfaces.worker import Worker
from nexxus_audit_log.settings import AuditLogSettings


class AuditLogWorker(Worker):
    """Appends a batch to the file and syncs it before the batch counts as handled.

    After a crash, events are delivered again, so a line may appear twice; readers can detect that
    by its ``operationId``.
    """

    def __init__(self, settings: AuditLogSettings, *, data_dir: Path) -> None:
        self.models = settings.models or None
        self._path = data_dir / settings.path

    async def handle(self, events: Sequence[Event]) -> None:
        await asyncio.to_thread(self._append, b"".join(map(_line, events)))

    def _append(self, data: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _line(event: Event) -> bytes:
    entry = {
        "event": event.event,
        "appId": event.app_id,
        "type": event.type,
        "id": event.id,
        "version": event.version,
        "operationId": event.operation_id,
        "after": event.after,
    }
    return msgspec.json.encode(entry) + b"\n"
