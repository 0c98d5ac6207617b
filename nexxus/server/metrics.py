"""The figures of a process, in Prometheus' text format."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from nexxus.errors import ServiceUnavailable
from nexxus.gateway import Counters
from nexxus.interfaces.broker import Broker, Group
from nexxus.interfaces.registry import Registry
from nexxus.transport_manager.transport_manager import RoutingFigures
from nexxus.writer.writer import WriterFigures

_STARTED = time.time()

_DEPTH_WITHIN: Final = 2.0
"""Seconds that the broker has for saying how much waits: figures are most wanted in trouble."""


class Figure(NamedTuple):
    """One number. `kind` is ``counter`` or ``gauge``; names begin with ``nexxus_``."""

    name: str
    kind: str
    help: str
    value: float


class Metrics:
    """Gathers what the parts of a process count. `groups` are those that it consumes.

    A service that is away leaves its own figures out; the others are most wanted then.
    """

    def __init__(
        self,
        *,
        writer: WriterFigures,
        transport_manager: RoutingFigures,
        gateways: Sequence[Counters],
        broker: Broker,
        groups: Sequence[Group[Any]],
        registry: Registry,
    ) -> None:
        self._parts = {"writer": writer, "transport_manager": transport_manager}
        self._gateways = gateways
        self._broker = broker
        self._groups = groups
        self._registry = registry

    async def tell(self) -> str:
        """The figures now, as text."""
        return to_prometheus(
            [
                *_process_figures(),
                *self._part_figures(),
                *await self._waiting_figures(),
                *self._gateway_figures(),
                *await self._registry_figures(),
            ]
        )

    def _part_figures(self) -> list[Figure]:
        return [
            Figure(
                f"nexxus_{part}_{name}_total",
                "counter",
                f"{name.capitalize()} of the {part.replace('_', ' ')}.",
                getattr(figures, name),
            )
            for part, figures in self._parts.items()
            for name in figures.__struct_fields__
        ]

    async def _waiting_figures(self) -> list[Figure]:
        figures = []
        for group in self._groups:
            with suppress(ServiceUnavailable, TimeoutError):
                async with asyncio.timeout(_DEPTH_WITHIN):
                    depth = await self._broker.depth(group)
                name = f"nexxus_{group.name.replace('-', '_')}_waiting"
                text = f"Messages that wait for {group.name}, of all nodes, roughly."
                figures.append(Figure(name, "gauge", text, depth))
        return figures

    def _gateway_figures(self) -> list[Figure]:
        names = Counters.__slots__ if self._gateways else ()
        return [
            Figure(
                f"nexxus_gateway_{name}{'' if name == 'connections' else '_total'}",
                "gauge" if name == "connections" else "counter",
                f"{name.replace('_', ' ').capitalize()} of the gateway.",
                sum(getattr(each, name) for each in self._gateways),
            )
            for name in names
        ]

    async def _registry_figures(self) -> list[Figure]:
        try:
            statistics = await self._registry.statistics()
        except ServiceUnavailable:
            return []
        return [
            Figure(f"nexxus_registry_{name}", "gauge", f"{name}.", value)
            for name, value in statistics.items()
        ]


def _process_figures() -> list[Figure]:
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
