"""WebSockets of transports on the node's ports."""

from __future__ import annotations

import json

import pytest
from mounts_site import Site, Start
from websockets.asyncio.client import connect as open_web_socket
from websockets.exceptions import InvalidStatus


async def test_messages_go_both_ways(site: Site) -> None:
    url = f"ws://{site.address}/echo"
    async with open_web_socket(url, subprotocols=["x", "second"], proxy=None) as socket:  # type: ignore[list-item]
        assert await socket.recv() == "second"
        await socket.send("text é")
        assert await socket.recv() == "text é"
        await socket.send(b"\x00bytes")
        assert await socket.recv() == b"\x00bytes"
        await socket.send("bye")
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (4000, "as asked")
    metrics = await site.metrics()
    assert 'nexxus_http_requests_total{method="GET",route="/echo",status="101"} 1' in metrics


async def test_a_web_socket_may_be_elsewhere_on_the_gateways_port(start: Start) -> None:
    async with start(gateway=True) as site:
        async with open_web_socket(f"ws://{site.address}/other", proxy=None) as socket:
            assert await socket.recv() == "None"
        with pytest.raises(InvalidStatus) as refused:
            await open_web_socket(f"ws://{site.address}/echo", proxy=None)
        assert (await site.http.get("/plain")).status_code == 200
        assert (await site.http.get("/device")).status_code == 404

    assert refused.value.response.status_code == 404


@pytest.mark.contract(
    "1. Tenancy and headers", "configured origins, and no others, may call and open WebSockets"
)
@pytest.mark.parametrize("server", ["ours", "asgi"])
async def test_a_page_of_another_origin_opens_no_web_socket_where_origins_are_named(
    start: Start, server: str
) -> None:
    async with start(server=server, api={"cors_origins": ["https://app.example"]}) as site:
        url = f"ws://{site.address}/echo"
        for origin in ("https://app.example", f"http://{site.address}", None):
            async with open_web_socket(url, origin=origin, proxy=None) as socket:  # type: ignore[arg-type]
                await socket.recv()
        with pytest.raises(InvalidStatus) as refused:
            await open_web_socket(url, origin="https://evil.example", proxy=None)  # type: ignore[arg-type]

    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["error"] == "AccessDeniedException"


async def test_a_drained_node_opens_no_web_socket(site: Site) -> None:
    await site.nexxus.drain()

    with pytest.raises(InvalidStatus) as refused:
        await open_web_socket(f"ws://{site.address}/echo", proxy=None)

    assert refused.value.response.status_code == 503
