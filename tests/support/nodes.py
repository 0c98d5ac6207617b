"""Where the nodes of a cluster are, for clients that choose theirs."""

from __future__ import annotations

from cluster import Cluster
from server import Endpoint


def at(cluster: Cluster, *, api: int, gateway: int) -> Endpoint:
    """The API node and the gateway of these numbers, counted from 1."""
    return Endpoint(
        f"http://127.0.0.1:{cluster.nodes['api'][api - 1].port}",
        f"ws://127.0.0.1:{cluster.nodes['gateway'][gateway - 1].port}/",
        cluster.admin_key,
    )
