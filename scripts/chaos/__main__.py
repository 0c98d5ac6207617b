"""``python -m chaos``: inflicts faults under load; exits with 1 if anything is lost or wrong."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from services.local_server import ServerFailed

from chaos.plan import plan
from chaos.run import Totals, run
from chaos.world import World


def main() -> int:
    """Run chaos as the arguments say, and return the exit code."""
    options = _options()
    failed = [
        seed
        for seed in range(options.seed, options.seed + options.seeds)
        if not _is_clean(options, seed)
    ]
    if options.seeds > 1:
        _print(f"{options.seeds - len(failed)} of {options.seeds} seeds were clean; not: {failed}")
    return 1 if failed else 0


def _is_clean(options: argparse.Namespace, seed: int) -> bool:
    """Run one seed; return whether nothing was lost or wrong."""
    directory = Path(tempfile.mkdtemp(prefix="nexxus-chaos-"))
    _print(f"seed={seed} faults={options.faults}; the logs are in {directory}")
    try:
        totals = asyncio.run(_run(options, seed, directory))
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return False
    _print(str(totals))
    if totals.is_clean:
        shutil.rmtree(directory)
    return totals.is_clean


async def _run(options: argparse.Namespace, seed: int, directory: Path) -> Totals:
    faults = list(plan(seed, options.faults))
    this = asyncio.current_task()
    assert this is not None
    # Ending a run early also ends the processes that it started.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with World(directory) as world:
        return await run(world, faults, seed=seed, per_round=options.round, report=_print)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=40, help="number of faults (default: 40)")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(1_000_000),
        help="the same seed yields the same faults (default: random)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="run this many seeds, one after the other, from --seed on (default: 1)",
    )
    parser.add_argument(
        "--round", type=int, default=10, help="number of faults before each check (default: 10)"
    )
    return parser.parse_args()


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
