"""The tests of the wire contract, unchanged, against split roles."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from server import Endpoint

TESTS = Path(__file__).resolve().parents[1]
TIMEOUT = 300.0


@pytest.mark.parametrize(
    "tests",
    [
        "acceptance/test_models.py",
        "acceptance/test_subscriptions.py",
        "acceptance/test_gateway.py",
        "acceptance/test_sessions.py",
        "fault/test_convergence.py::test_after_a_storm_every_view_equals_the_database[1]",
    ],
)
async def test_two_nodes_of_each_role_do_what_one_process_does(
    balanced: Endpoint, tests: str
) -> None:
    """Behind a load balancer, so that one client's requests come to different nodes."""
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long"),
        *("--durations=5", str(TESTS / tests)),
        cwd=TESTS.parent,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "NEXXUS_URL": balanced.url,
            "NEXXUS_WS_URL": balanced.ws_url,
            "NEXXUS_ADMIN_KEY": balanced.admin_key,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, _ = await run.communicate()
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    assert run.returncode == 0, output.decode(errors="replace")[-20_000:]
    if os.environ.get("SHOW"):
        print(output.decode())
