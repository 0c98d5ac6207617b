"""A short chaos. `.ci/run` runs it by `make chaos`, which also has the long ones."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from chaos.plan import plan
from chaos.run import run
from chaos.world import World
from services.local_server import ServerFailed

SEED = 47609
"""RabbitMQ, Redis and a writer are killed, a node freezes, another finds no Elasticsearch."""

FAULTS = 5


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured_programs")
@pytest.mark.contract("4. Models", "no accepted write is lost, none is applied twice")
async def test_nothing_is_lost_and_everybody_agrees_after_faults_of_every_sort(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as resources:
        try:
            world = await resources.enter_async_context(World(tmp_path))
        except ServerFailed as error:
            pytest.skip(f"the distributed set cannot be run: {error}")
        faults = list(plan(SEED, FAULTS))
        totals = await run(world, faults, seed=SEED, per_round=FAULTS, report=print)
    assert totals.is_clean, capsys.readouterr().out
    assert totals.accepted > 4 * FAULTS, "there was a load at all, however slow the machine is"
