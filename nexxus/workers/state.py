"""The state of custom workers: small values by name, in the database."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from nexxus.cluster.own_records import OwnRecords
from nexxus.domain.schema import build_model
from nexxus.interfaces.database import Database
from nexxus.interfaces.worker import WorkerState

WORKER_STATE: Final = build_model("worker-state", {})
"""Its id is a digest of ``worker`` and ``name``; ``value`` is base64."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_BYTES: Final = 64 * 1024


class StoredState(WorkerState):
    """One worker's values."""

    def __init__(self, worker: str, database: Database) -> None:
        self._worker = worker
        self._records = OwnRecords(database, WORKER_STATE)

    async def open(self) -> None:
        """Prepare the database."""
        await self._records.open()

    async def get(self, name: str) -> bytes | None:
        document = await self._records.get(self._id(name))
        return None if document is None else base64.b64decode(document["value"])

    async def put(self, name: str, value: bytes) -> None:
        if len(value) > _MAX_BYTES:
            raise ValueError(f"{name}: a value has at most {_MAX_BYTES} bytes, not {len(value)}")
        fields = {"worker": self._worker, "name": name, "value": base64.b64encode(value).decode()}
        await self._records.put(self._id(name), fields)

    async def delete(self, name: str) -> None:
        await self._records.delete(self._id(name))

    def _id(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a name has 1 to 64 characters of A-Z a-z 0-9 . _ -")
        return hashlib.sha256(f"{self._worker}\0{name}".encode()).hexdigest()[:32]
