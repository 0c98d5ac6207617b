"""What a gateway counts."""

from __future__ import annotations


class Counters:
    """Plain numbers for the metrics. `connections` goes up and down, the others only up.

    `deliveries` counts what came from the transport managers, `frames` and `bytes` what was
    written to the sockets.
    """

    __slots__ = (
        "bytes",
        "connections",
        "deliveries",
        "frames",
        "resumed",
        "resynced",
        "slow_consumers",
    )

    def __init__(self) -> None:
        self.connections = 0
        self.deliveries = 0
        self.frames = 0
        self.bytes = 0
        self.slow_consumers = 0
        self.resumed = 0
        self.resynced = 0
