"""What transports serve over HTTP on the node's ports is treated as the API is."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from mounts_site import (
    MEMORY,
    PATIENCE,
    Sample,
    Site,
    Start,
    assert_error,
)
from waiting import eventually

from nexxus.errors import ConfigurationError
from nexxus.interfaces.mounts import (
    HttpMount,
)


async def lost(sample: Sample) -> None:
    """The transport is notified, once."""
    await eventually(lambda: sample.lost)
    assert sample.lost == 1


async def test_a_request_is_authenticated_before_the_mount_is_called(site: Site) -> None:
    headers = await site.device()

    answer = await site.http.get("/mine/?x=1&x=2", headers=headers)

    assert answer.status_code == 200
    assert answer.json()["device"]
    assert answer.json()["query"] == ["1", "2"]
    assert (answer.headers["x-mine"], len(answer.headers["x-request-id"])) == ("1", 24)
    bare = {"nxx-app-id": "open"}
    assert_error(await site.http.get("/mine", headers=bare), 401, "NoAuthPresentException")
    assert_error(await site.http.get("/mine"), 400, "InvalidParametersException")
    bad = {**bare, "authorization": "Bearer x"}
    answer = await site.http.get("/mine", headers=bad)
    assert_error(answer, 401, "UserAuthenticationFailedException")
    unknown = {**headers, "nxx-app-id": "unknown"}
    assert_error(await site.http.get("/mine", headers=unknown), 404, "ApplicationNotFoundException")


async def test_a_mount_may_authenticate_by_itself(site: Site) -> None:
    headers = await site.device()

    assert (await site.http.get("/late", headers=headers)).status_code == 200
    refused = await site.http.get("/late", headers={"nxx-app-id": "open", "x-fail": "1"})
    assert_error(refused, 400, "InvalidParametersException")


async def test_methods_and_bodies_are_limited_as_the_apis_are(site: Site) -> None:
    headers = await site.device()

    answer = await site.http.delete("/mine", headers=headers)
    assert_error(answer, 405, "MethodNotAllowedException")
    assert answer.headers["allow"] == "GET, POST"
    options = await site.http.options("/mine", headers=headers)
    assert (options.status_code, options.headers["allow"]) == (200, "GET, OPTIONS, POST")
    posted = await site.http.post("/mine", headers=headers, content=b"hello")
    assert posted.json()["body"] == "hello"
    large = await site.http.post("/mine", headers=headers, content=b"x" * (1 << 20) + b"x")
    assert_error(large, 413, "PayloadTooLargeException")


async def test_below_and_beside_a_mount_is_the_api(site: Site) -> None:
    assert_error(await site.http.get("/mine/below"), 404, "NotFoundException")
    assert_error(await site.http.get("/min"), 404, "NotFoundException")
    assert (await site.http.get("/healthz")).status_code == 200


async def test_a_fault_of_a_mount_is_answered_like_any_other(site: Site) -> None:
    assert_error(await site.http.get("/broken"), 500, "ServerErrorException")


async def test_requests_are_measured_but_where_a_mount_declines(site: Site) -> None:
    await site.http.get("/plain")
    await site.http.get("/mine")
    await site.http.get("/broken")
    metrics = await site.metrics()

    assert 'nexxus_http_requests_total{method="GET",route="/plain",status="200"} 1' in metrics
    assert 'nexxus_http_requests_total{method="GET",route="/mine",status="400"} 1' in metrics
    assert "/broken" not in metrics


async def test_requests_count_against_the_limit_but_where_a_mount_declines(start: Start) -> None:
    async with start(limits={"requests_per_second": 2}) as site:
        headers = await site.device()
        own = [(await site.http.get("/mine", headers=headers)).status_code for _ in range(4)]
        plain = [(await site.http.get("/plain")).status_code for _ in range(4)]
        free = [(await site.http.get("/free")).status_code for _ in range(4)]

    assert own == [200, 200, 429, 429]
    assert 429 in plain
    assert free == [200] * 4


async def test_pages_of_other_origins_read_answers_as_those_of_the_api(start: Start) -> None:
    async with start(api={"cors_origins": ["https://app.example"]}) as site:
        answer = await site.http.get("/plain", headers={"origin": "https://app.example"})
        refused = await site.http.get("/mine", headers={"origin": "https://app.example"})

    for each in (answer, refused):
        assert each.headers["access-control-allow-origin"] == "https://app.example"
        assert each.headers["access-control-allow-credentials"] == "true"


async def test_a_stream_goes_on_until_it_is_ended(site: Site) -> None:
    async with site.http.stream("GET", "/stream") as answer:
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["x-mine"] == "1"
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"begun"
        (stream,) = site.sample.streams
        stream.write(b"and on")
        assert await anext(chunks) == b"and on"
        stream.write(b"the end")
        stream.end()
        assert b"".join([chunk async for chunk in chunks]) == b"the end"
    await lost(site.sample)
    metrics = await site.metrics()
    assert 'nexxus_http_requests_total{method="GET",route="/stream",status="200"} 1' in metrics
    assert "nexxus_http_requests_running 1.0\n" in metrics  # the one for the figures


async def test_a_stream_whose_client_leaves_is_lost(site: Site) -> None:
    async with site.http.stream("GET", "/stream") as answer:
        assert await anext(answer.aiter_bytes()) == b"begun"

    await lost(site.sample)


async def test_a_mount_that_waits_learns_that_its_client_leaves(site: Site) -> None:
    asking = asyncio.create_task(site.http.post("/wait", content=b"x"))
    await eventually(lambda: site.sample.waiting)
    assert site.sample.lost == 0

    asking.cancel()

    await lost(site.sample)


async def test_a_stream_can_be_aborted(site: Site) -> None:
    async with site.http.stream("GET", "/stream") as answer:
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"begun"
        site.sample.streams[0].abort()
        site.sample.streams[0].abort()
        with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError, StopAsyncIteration)):
            async with asyncio.timeout(PATIENCE):
                await anext(chunks)

    await lost(site.sample)


@pytest.mark.parametrize("path", ["/subscription", "/healthz"])
async def test_a_mount_at_a_route_of_the_api_is_refused_at_the_start(
    start: Start, path: str
) -> None:
    mount = HttpMount(path, Sample().tell)
    with pytest.raises(ConfigurationError, match=f"'sample' serves {path}"):
        async with start(mount):
            pass


async def test_what_a_mount_logs_names_the_request_and_the_application(start: Start) -> None:
    async with start(logger={"adapter": "memory"}) as site:
        headers = {**await site.device(), "x-request-id": "abc"}
        await site.http.get("/logs", headers=headers)

    (record,) = [each for each in MEMORY.records if each.message == "a mount was called"]
    assert record.fields == {"requestId": "abc", "appId": "open"}
