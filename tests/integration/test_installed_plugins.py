"""Plugins of the examples, installed as anybody's packages would be, work in a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from plugin_packages import PLUGINS
from server import Server, run_nexxus
from waiting import eventually


@pytest.fixture
def server(installed: Path, tmp_path: Path) -> Iterator[Server]:
    """A server with a plugin's worker and another's logger."""
    server = Server(
        tmp_path,
        *("--set", 'server.workers=["audit-log"]', "--set", "logger.adapter=rotating-file"),
        PYTHONPATH=str(installed),
    )
    yield server.start()
    server.close()


def test_plugins_are_listed_with_their_packages(installed: Path, tmp_path: Path):
    result = run_nexxus("plugins", "--json", cwd=tmp_path, PYTHONPATH=str(installed))
    offers = {(offer["kind"], offer["name"]): offer for offer in json.loads(result.stdout)}
    assert offers["worker", "audit-log"]["origin"] == "nexxus-audit-log 0.1.0"
    assert offers["logger", "rotating-file"]["summary"].startswith("JSON lines")
    assert len({offer["origin"] for offer in offers.values()} - {"built in"}) == len(PLUGINS)


def test_a_plugins_settings_are_checked_like_ours(installed: Path, tmp_path: Path):
    options = ("config", "check", "--set", "plugins.audit-log.model=task")
    result = run_nexxus(*options, cwd=tmp_path, PYTHONPATH=str(installed))
    assert result.returncode == 2
    assert "did you mean plugins.audit-log.models?" in result.stderr


async def test_the_worker_sees_every_change_and_the_logger_writes_what_happens(server: Server):
    application = {"id": "notes", "name": "Notes", "schema": {"note": {"text": {"type": "string"}}}}
    admin = {"authorization": f"Bearer {server.endpoint.admin_key}"}
    async with httpx2.AsyncClient(base_url=server.endpoint.url, timeout=30) as http:
        created = await http.post("/admin/applications", json=application, headers=admin)
        assert created.status_code == 201, created.text
        ids = []
        for number in range(3):
            headers = {"nxx-app-id": "notes"}
            answer = await http.post(
                "/model/note", json={"text": f"note {number}"}, headers=headers
            )
            ids.append(answer.json()["data"]["id"])

    audit = server.data_dir / "audit.jsonl"

    def entries() -> list[dict]:
        lines = audit.read_bytes().splitlines(keepends=True) if audit.exists() else []
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    await eventually(lambda: {entry["id"] for entry in entries()} == set(ids))
    assert entries()[0]["event"] == "model_created"
    assert entries()[0]["after"]["text"] == "note 0"

    assert server.stop() == 0
    log = [json.loads(line) for line in (server.data_dir / "nexxus.log").open()]
    assert {"info"} <= {entry["level"] for entry in log}
    assert server.endpoint.admin_key not in json.dumps(log)
