"""The worker keeps what every worker promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import nexxus_audit_log
from nexxus.testing.worker_kit import WorkerConformance


class TestAuditLogWorker(WorkerConformance):
    plugin = nexxus_audit_log
    name = "audit-log"

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "audit.jsonl"  # the kit's data directory is tmp_path

    async def effects(self) -> Any:
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        return {msgspec.json.decode(line)["operationId"] for line in lines}
