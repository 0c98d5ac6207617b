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
            description="Where RabbitMQ is, with user and password: amqp:// or, with TLS, "
            "amqps://user:password@host:port/vhost. Of a cluster, several, separated by commas.",
        ),
    ] = "amqp://guest:guest@127.0.0.1:5672/"
    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,32}$",
            description="What the names of all queues and exchanges begin with.",
        ),
    ] = "nexxus"
    partitions: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Queues that writes and events are spread over; at most so many nodes of "
            "a role have work. The same on every node; queues that exist keep theirs.",
        ),
    ] = 8
    replicas: Annotated[
        int,
        Meta(
            ge=1,
            description="On how many nodes of a RabbitMQ cluster a new queue is kept; a smaller "
            "cluster keeps it on all.",
        ),
    ] = 3
    max_length: Annotated[
        int,
        Meta(ge=1, description="Messages that a queue holds before publishers are refused."),
    ] = 200_000
    node_expires: Annotated[
        float,
        Meta(ge=1, description="How long the mailbox of a node that is gone is kept."),
    ] = 60.0
    heartbeat: Annotated[
        int,
        Meta(ge=1, description="A silent connection is given up after twice this time."),
    ] = 5
    connect_timeout: Annotated[
        float, Meta(gt=0, description="How long one attempt to connect may take.")
    ] = 5.0
    publish_timeout: Annotated[
        float, Meta(gt=0, description="How long a publish waits for RabbitMQ to confirm.")
    ] = 5.0
    patience: Annotated[
        float,
        Meta(gt=0, description="How long a publish waits for a lost connection to come back."),
    ] = 1.0
