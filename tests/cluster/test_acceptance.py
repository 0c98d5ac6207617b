"""The tests of the wire contract, unchanged, against split roles."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from cluster import Cluster
from nodes import at
from server import Endpoint

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("cluster")]

TESTS = Path(__file__).resolve().parents[1]
CHOSEN = (
    "acceptance/test_models.py",
    "acceptance/test_subscriptions.py",
    "acceptance/test_gateway.py",
)
STORM = "fault/test_convergence.py::test_after_a_storm_every_view_equals_the_database[1]"
LEFT_OUT = ("a_thousand_subscriptions", "outlives_its_token")
"""Slow ones whose promise does not depend on where the roles are, or is shown by another."""

TIMEOUT = 300.0


async def test_two_nodes_of_each_role_do_what_one_process_does(
    cluster: Cluster, balanced: Endpoint
) -> None:
    await run_against(cluster, balanced, *CHOSEN)


async def test_after_a_storm_over_two_nodes_of_each_role_every_view_equals_the_database(
    cluster: Cluster, balanced: Endpoint
) -> None:
    await run_against(cluster, balanced, STORM)


async def run_against(cluster: Cluster, balanced: Endpoint, *chosen: str) -> None:
    """The API is behind a load balancer, so that one client's requests come to either node."""
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long"),
        *("-k", f"not ({' or '.join(LEFT_OUT)})", "--durations=20"),
        *(str(TESTS / tests) for tests in chosen),
        cwd=TESTS.parent,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "NEXXUS_URL": balanced.url,
            "NEXXUS_WS_URL": at(cluster, api=1, gateway=2).ws_url,
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
    print(output.decode(errors="replace"))
    assert run.returncode == 0
