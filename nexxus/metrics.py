"""The process's own figures, in Prometheus' text format."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable
from typing import NamedTuple

_STARTED = time.time()


class Figure(NamedTuple):
    """One number. `kind` is ``counter`` or ``gauge``; names begin with ``nexxus_``."""

    name: str
    kind: str
    help: str
    value: float


def process_figures() -> list[Figure]:
    """What the operating system knows about this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [
        Figure(
            "nexxus_process_cpu_seconds_total",
            "counter",
            "CPU time, user and system.",
            usage.ru_utime + usage.ru_stime,
        ),
        Figure(
            "nexxus_process_peak_memory_bytes",
            "gauge",
            "The largest resident size so far.",
            usage.ru_maxrss * 1024,
        ),
        Figure("nexxus_process_start_time_seconds", "gauge", "UNIX time of the start.", _STARTED),
    ]


def to_prometheus(figures: Iterable[Figure]) -> str:
    """The figures as text, one family each."""
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {value:.17g}\n"
        for name, kind, text, value in figures
    )
