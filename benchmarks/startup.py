"""Start-up: from the start of the process to the first 200 of ``GET /readyz``.

    python benchmarks/startup.py [--rounds 7]

Each start has an empty data directory, as the very first one has. It alternates with the
references: Python importing uvicorn and Starlette, and a bare Starlette app under uvicorn until
it answers. The medians of all rounds are printed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from server_process import bare_server, nexxus_server

MAX_SECONDS = 0.6


def main() -> None:
    """Measure, print, and exit with 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    imports, bare, ours = [], [], []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import uvicorn, starlette"], check=True)
        imports.append(time.perf_counter() - started)
        started = time.perf_counter()
        with bare_server("http"):
            bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        with nexxus_server():
            ours.append(time.perf_counter() - started)
    # The first round fills the file caches.
    imported, plain, nexxus = (statistics.median(times[1:]) for times in (imports, bare, ours))
    print(
        f"start-up  nexxus {nexxus:.2f} s (at most {MAX_SECONDS})   bare app {plain:.2f} s"
        f"   imports alone {imported:.2f} s   ratio to the bare app {nexxus / plain:.2f}"
    )
    raise SystemExit(0 if nexxus <= MAX_SECONDS else 1)


if __name__ == "__main__":
    main()
