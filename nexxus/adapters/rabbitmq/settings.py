"""The settings of the RabbitMQ broker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RabbitMQSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[broker]`` for ``adapter = "rabbitmq"``. Times are in seconds."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^amqps?://",
            description="The URL of RabbitMQ: amqp:// or, with TLS, "
            "amqps://user:password@host:port/vhost. For a cluster, several, separated by "
            "commas.",
        ),
    ] = "amqp://guest:guest@127.0.0.1:5672/"
    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,32}$",
            description="The prefix of the names of all queues and exchanges.",
        ),
    ] = "nexxus"
    partitions: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Partitions of writes and of events, each with its queue; also "
            "the most nodes"
            " of a role that have work. Must be the same on every node.",
        ),
    ] = 8
    replicas: Annotated[
        int,
        Meta(
            ge=1,
            description="Replicas of a new queue in a RabbitMQ cluster; a smaller cluster "
            "has one on "
            "each node.",
        ),
    ] = 3
    max_length: Annotated[
        int,
        Meta(ge=1, description="Messages that a queue holds before publishers are refused."),
    ] = 200_000
    node_expires: Annotated[
        float,
        Meta(ge=1, description="How long the mailbox of a stopped node is kept."),
    ] = 60.0
    heartbeat: Annotated[
        int,
        Meta(
            ge=1,
            description="The heartbeat interval; a connection that is silent for twice "
            "this time is "
            "closed.",
        ),
    ] = 5
    connect_timeout: Annotated[
        float, Meta(gt=0, description="How long one attempt to connect may take.")
    ] = 5.0
    publish_timeout: Annotated[
        float, Meta(gt=0, description="How long a publish waits for RabbitMQ to confirm.")
    ] = 5.0
    patience: Annotated[
        float,
        Meta(gt=0, description="How long a publish waits until a lost connection is restored."),
    ] = 1.0
