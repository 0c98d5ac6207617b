"""The settings of the broker and the registry of one process."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class InProcessBrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[broker]`` for ``adapter = "in-process"``. Times are in seconds."""

    queue_limit: Annotated[
        int,
        Meta(ge=1, description="Unsettled messages that a queue holds before publishers wait."),
    ] = 100_000
    publish_timeout: Annotated[
        float, Meta(gt=0, description="How long a publisher waits for room in a queue.")
    ] = 5.0
    confirm_timeout: Annotated[
        float, Meta(gt=0, description="How long a write waits for the writer.")
    ] = 30.0


class InProcessRegistrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[registry]`` for ``adapter = "in-process"``."""

    cached_sessions: Annotated[int, Meta(ge=2, description="Sessions cached in memory.")] = 100_000
    cached_fates: Annotated[
        int,
        Meta(ge=2, description="Outcomes of operations cached in memory."),
    ] = 10_000
    clean_every: Annotated[float, Meta(gt=0, description="How often expired data is removed.")] = (
        60.0
    )
