"""The example of a worker keeps what every worker promises."""

import json
from pathlib import Path
from typing import Any

import pytest

from nexxus.testing.worker_kit import WorkerConformance

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sample-plugin"


class TestAuditLog(WorkerConformance):
    name = "audit-log"

    @pytest.fixture(autouse=True)
    def example(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.syspath_prepend(EXAMPLE)
        import nexxus_sample

        self.file = tmp_path / "audit.jsonl"
        self.plugin = nexxus_sample  # type: ignore[misc]

    async def effects(self) -> Any:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return {json.loads(line)["operationId"]: line for line in lines}
