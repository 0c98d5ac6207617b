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
            description="Where Elasticsearch 8 is: the nodes of one cluster, of which any may be "
            "away. With https:// their certificates are checked.",
        ),
    ] = ("http://127.0.0.1:9200",)
    index_prefix: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
            description="What the names of all indices begin with; installations that share a "
            "cluster take different ones.",
        ),
    ] = "nexxus"
    shards: Annotated[
        int,
        Meta(ge=1, le=1024, description="Primary shards of a new index, which has one per model."),
    ] = 1
    replicas: Annotated[
        int,
        Meta(
            ge=0,
            le=32,
            description="Copies of each shard of a new index; with none, losing a machine loses "
            "objects. A single node keeps no copies, whatever stands here.",
        ),
    ] = 1
    api_key: Annotated[str, Meta(description="An API key, in its encoded form.")] = ""
    username: Annotated[str, Meta(description="Who signs in, where there is no API key.")] = ""
    password: Annotated[str, Meta(description="The password of that user.")] = ""
    ca_file: Annotated[
        str,
        Meta(
            description="A PEM file with the authority that signed the nodes' certificates, where "
            "the system does not know it."
        ),
    ] = ""
    request_timeout: Annotated[
        float,
        Meta(
            gt=0,
            le=600,
            description="Seconds for one request, and for trying again what an overloaded node "
            "refused.",
        ),
    ] = 10.0
    connections: Annotated[
        int, Meta(ge=1, le=1000, description="Connections to each node at most.")
    ] = 32
