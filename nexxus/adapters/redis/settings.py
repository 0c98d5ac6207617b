"""The settings of the Redis registry."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RedisSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[registry]`` for ``adapter = "redis"``. Times are in seconds."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^(rediss?|unix)://",
            description="The URL of Redis 7: redis:// or, with TLS, "
            "rediss://user:password@host:port/0. For a cluster, some of its nodes, "
            "separated by commas. Redis must be configured to persist (appendonly yes) "
            "and not to evict (noeviction).",
        ),
    ] = "redis://127.0.0.1:6379/0"
    cluster: Annotated[
        bool, Meta(description="Whether it is a Redis Cluster; the other nodes are discovered.")
    ] = False
    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,32}$",
            description="The prefix of all keys; installations that share a Redis need different "
            "ones.",
        ),
    ] = "nexxus"
    connections: Annotated[
        int,
        Meta(
            ge=1,
            description="Connections to Redis, or to each node of a cluster; while all are busy, "
            "commands wait and are then sent together.",
        ),
    ] = 16
    timeout: Annotated[
        float,
        Meta(gt=0, description="How long one answer may take before clients get 503."),
    ] = 2.0
    connect_timeout: Annotated[
        float, Meta(gt=0, description="How long one attempt to connect may take.")
    ] = 1.0
