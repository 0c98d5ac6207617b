"""The figures of a gateway."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexxus.observability.figures import Histogram, counter, gauge, histogram


class GatewayFigures(msgspec.Struct):
    """What is measured of one transport's gateway."""

    connections: Annotated[int, gauge("Connections that are open.")] = 0
    deliveries: Annotated[
        int, counter("Events that came from the transport managers for devices of this node.")
    ] = 0
    frames: Annotated[int, counter("Frames that were sent to devices.")] = 0
    bytes: Annotated[int, counter("Bytes of frames that were written to connections.")] = 0
    slow_consumers: Annotated[
        int, counter("Connections that were closed because they did not read fast enough.")
    ] = 0
    resumed: Annotated[int, counter("Devices that came back and got what they had missed.")] = 0
    resynced: Annotated[
        int, counter("Devices that were told to read their channels again, having missed too much.")
    ] = 0
    write_to_push_seconds: Annotated[
        Histogram,
        histogram(
            "Time from the acceptance of a write to its push to the devices of this node; between "
            "nodes it is only as exact as their clocks."
        ),
    ] = msgspec.field(default_factory=Histogram)
