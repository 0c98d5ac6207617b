"""What can be set about a gateway."""

from __future__ import annotations

import msgspec

_KIB = 1024
_MIB = 1024 * _KIB


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds, sizes in bytes.

    `resume_window` is how long a lost connection's subscriptions are kept, 0 for not at all, if
    the connection asks for nothing else; `resume_window_max` bounds what it may ask for.
    `resume_grace` is how long a device that came back may take to ask for them.
    `handover_timeout` is how long another node may take to hand a device over, and how long a
    node that stops waits for its devices to be taken over. A replay of more than `resume_frames`
    frames or `resume_bytes` bytes becomes a ``resync``; `log_deliveries` and `log_bytes` bound
    what the node remembers for all of its devices.

    `send_buffer` is how much may wait for a peer that does not read before it is dropped. Of a
    client's own frames up to `frames_queued` are unanswered, and about `frame` bytes of them;
    beyond that the connection is not read.
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
