"""The settings of a gateway."""

from __future__ import annotations

import msgspec

_KIB = 1024
_MIB = 1024 * _KIB


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds, sizes in bytes.

    `resume_window` is how long the subscriptions of a lost connection are kept, unless the
    connection asks for another time of at most `resume_window_max`; 0 keeps none. `resume_grace` is
    how long a returning device may take to resume. `handover_timeout` is how long another node may
    take to hand a device over, and how long a stopping node waits until its devices are taken over.
    A replay of more than `resume_frames` frames or `resume_bytes` bytes becomes a ``resync``;
    `log_deliveries` and `log_bytes` limit what the node remembers for all of its devices.

    A peer is dropped if more than `send_buffer` bytes wait for it. If `frames_queued` of its
    frames, or about `frame` bytes of them, are unanswered, its connection is not read.
    """

    max_connections: int = 100_000
    frame: int = _MIB
    depth: int = 64
    send_buffer: int = _MIB
    frames_queued: int = 256
    register_timeout: float = 10.0
    ping_interval: float = 25.0
    ping_timeout: float = 60.0
    close_timeout: float = 5.0
    drain_timeout: float = 10.0
    resume_window: float = 60.0
    resume_window_max: float = 3600.0
    resume_grace: float = 5.0
    handover_timeout: float = 2.0
    resume_frames: int = 1_000
    resume_bytes: int = _MIB
    log_deliveries: int = 20_000
    log_bytes: int = 64 * _MIB
