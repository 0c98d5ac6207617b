"""The settings of the Elasticsearch database."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ElasticsearchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[database]`` for ``adapter = "elasticsearch"``."""

    urls: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://")], ...],
        Meta(
            min_length=1,
            description="URLs of the nodes of one Elasticsearch 8 cluster; some may be "
            "unavailable. "
            "With https:// their certificates are verified.",
        ),
    ] = ("http://127.0.0.1:9200",)
    index_prefix: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
            description="The prefix of all index names; installations that share a cluster need "
            "different ones.",
        ),
    ] = "nexxus"
    shards: Annotated[
        int,
        Meta(ge=1, le=1024, description="Primary shards of a new index; each model has one index."),
    ] = 1
    replicas: Annotated[
        int,
        Meta(
            ge=0,
            le=32,
            description="Replicas of each shard of a new index; with 0, losing a machine loses "
            "objects. A single node never has replicas.",
        ),
    ] = 1
    api_key: Annotated[str, Meta(description="An encoded API key.")] = ""
    username: Annotated[str, Meta(description="The user name, if there is no API key.")] = ""
    password: Annotated[str, Meta(description="The user's password.")] = ""
    ca_file: Annotated[
        str,
        Meta(
            description="A PEM file with the authority that signed the nodes' certificates, if the "
            "system does not trust it."
        ),
    ] = ""
    request_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=600,
            description="The time limit of one request, and of retries if a node is overloaded.",
        ),
    ] = 10.0
    connections: Annotated[
        int, Meta(ge=1, le=1000, description="The most connections to each node.")
    ] = 32
