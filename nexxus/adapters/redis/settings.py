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
            description="Where Redis 7 is, with user and password: redis:// or, with TLS, "
            "rediss://user:password@host:port/0. Of a cluster some of the nodes, separated by "
            "commas. It must be told to persist (appendonly yes) and not to evict (noeviction).",
        ),
    ] = "redis://127.0.0.1:6379/0"
    cluster: Annotated[
        bool, Meta(description="Whether it is a Redis Cluster; its nodes find each other.")
    ] = False
    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,32}$",
            description="What all keys begin with; installations that share a Redis take "
            "different ones.",
        ),
    ] = "nexxus"
    connections: Annotated[
        int,
        Meta(
            ge=1,
            description="Connections to Redis, to each node of a cluster; what comes while all "
            "are busy waits, and is sent together.",
        ),
    ] = 16
    timeout: Annotated[
        float,
        Meta(gt=0, description="How long one answer may take, before clients are told 503."),
    ] = 2.0
    connect_timeout: Annotated[
        float, Meta(gt=0, description="How long one attempt to connect may take.")
    ] = 1.0
