"""What transports serve on the node's ports is treated as the API is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from waiting import eventually
from websockets.asyncio.client import connect as open_web_socket
from websockets.exceptions import InvalidStatus

from nexxus.config import Config
from nexxus.errors import ConfigurationError, InvalidParameters
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.logger import Level, Logger, LogRecord
from nexxus.interfaces.mounts import (
    Authentication,
    HttpMount,
    MountAnswer,
    MountRequest,
    Stream,
    WebSocket,
    WebSocketMount,
)
from nexxus.interfaces.transport import Transport, TransportHost
from nexxus.server import Nexxus
from nexxus.testing.transport_port import serving
from nexxus.toolkit.web_socket_frames import binary_message, text_message

PATIENCE = 10.0
ADMIN_KEY = "an-admin-key-for-tests-only"
APPLICATION = {"id": "open", "schema": {"task": {"title": {"type": "string"}}}}


class Sample(Transport):
    """Has one mount of each kind."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.lost = 0
        self.more: list[HttpMount | WebSocketMount] = []
        self.host: TransportHost

    async def start(self, host: TransportHost) -> None:
        self.host = host

    async def stop(self) -> None: ...

    @property
    def mounts(self) -> list[HttpMount | WebSocketMount]:
        return [
            HttpMount("/mine", self.tell, methods=("GET", "POST"), reconnects=True),
            HttpMount("/plain", self.tell, authentication=Authentication.NONE),
            HttpMount("/free", self.tell, authentication=Authentication.NONE, limited=False),
            HttpMount("/stream", self.stream, authentication=Authentication.NONE),
            HttpMount("/late", self.authenticate, authentication=Authentication.BY_MOUNT),
            HttpMount("/logs", self.log),
            HttpMount("/broken", self.fail, authentication=Authentication.NONE, measured=False),
            WebSocketMount("/echo", self.echo, ("first", "second"), gateway_path="/other"),
            *self.more,
        ]

    async def tell(self, request: MountRequest) -> MountAnswer:
        identity = request.identity
        body = await request.read() if request.method == "POST" else b""
        told = {
            "device": identity and identity.device_id,
            "query": request.query.get("x"),
            "body": body.decode(),
        }
        return MountAnswer(200, json.dumps(told).encode(), headers=((b"x-mine", b"1"),))

    async def stream(self, request: MountRequest) -> None:
        def note_loss() -> None:
            self.lost += 1

        stream = await request.stream(b"text/plain", headers=((b"x-mine", b"1"),), lost=note_loss)
        self.streams.append(stream)
        stream.write(b"begun")

    async def authenticate(self, request: MountRequest) -> MountAnswer:
        if "x-fail" in request.headers:
            raise InvalidParameters("x-fail: is not wanted")
        identity = await request.authenticate()
        return MountAnswer(200, identity.device().encode(), b"text/plain")

    async def log(self, request: MountRequest) -> MountAnswer:
        self.host.logger.info("a mount was called")
        return MountAnswer(204)

    async def fail(self, request: MountRequest) -> None:
        raise ValueError("a fault of the transport's")

    def echo(self, request: MountRequest, socket: WebSocket, subprotocol: str | None) -> Echo:
        socket.write(text_message(str(subprotocol).encode()))
        return Echo(socket)


class Echo:
    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def heard(self) -> None: ...

    def received(self, message: bytes, *, is_text: bool) -> None:
        if message == b"bye":
            self._socket.close(4000, "as asked")
        else:
            self._socket.write(text_message(message) if is_text else binary_message(message))

    def closed_by_peer(self) -> None: ...

    def lost(self) -> None: ...


class SamplePlugin:
    def __init__(self) -> None:
        self.transport = Sample()

    @hookimpl
    def nexxus_transports(self) -> list[Adapter[Any, Transport]]:
        return [Adapter("sample", None, lambda *_: self.transport, interface=1)]

    @hookimpl
    def nexxus_loggers(self) -> list[Adapter[Any, Logger]]:
        return [Adapter("memory", None, lambda *_: MEMORY, interface=1)]


class Memory(Logger):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def is_enabled(self, level: Level) -> bool:
        return level >= Level.INFO

    def write(self, record: LogRecord) -> None:
        self.records.append(record)


MEMORY = Memory()


class Site:
    """A server with the sample, on a real port."""

    def __init__(self, nexxus: Nexxus, sample: Sample, port: int) -> None:
        self.nexxus = nexxus
        self.sample = sample
        self.address = f"127.0.0.1:{port}"
        self.http = httpx2.AsyncClient(base_url=f"http://{self.address}", trust_env=False)

    async def device(self) -> dict[str, str]:
        """The headers of a new device's requests."""
        answer = await self.http.post(
            "/device/register", json={"name": "d"}, headers={"nxx-app-id": "open"}
        )
        self.http.cookies.clear()
        return {"nxx-app-id": "open", "authorization": f"Bearer {answer.json()['token']}"}

    async def ticket(self) -> str:
        answer = await self.http.post("/auth/ticket", headers=await self.device())
        assert answer.json()["expiresIn"] == 30
        return answer.json()["ticket"]  # type: ignore[no-any-return]

    async def metrics(self) -> str:
        return (await self.http.get("/metrics")).text


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def started(
        *more: HttpMount | WebSocketMount,
        server: Literal["ours", "asgi"] = "ours",
        gateway: bool = False,
        **sections: Any,
    ) -> AsyncIterator[Site]:
        plugin = SamplePlugin()
        plugin.transport.more = list(more)
        settings = {
            "server": {"data_dir": str(tmp_path)},
            "admin": {"key": ADMIN_KEY},
            "logger": {"level": "critical"},
            "gateway": {"transports": ["sample"]},
            "applications": [APPLICATION],
            **sections,
        }
        async with Nexxus(Config.from_mapping(settings, plugins=[plugin])) as nexxus:
            app = nexxus.gateway_app if gateway else nexxus.app
            async with serving(app, server=server) as port:
                site = Site(nexxus, plugin.transport, port)
                yield site
                await site.http.aclose()

    return started


@pytest.fixture(params=["ours", "asgi"])
async def site(start: Start, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """On our own server, and on one that only knows ASGI."""
    async with start(server=request.param) as site:
        yield site


def assert_error(answer: httpx2.Response, status: int, name: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["error"], body["requestId"]) == (name, answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"


# HTTP


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


async def lost(sample: Sample) -> None:
    """The transport is notified, once."""
    await eventually(lambda: sample.lost)
    assert sample.lost == 1


@pytest.mark.parametrize("path", ["/subscription", "/healthz"])
async def test_a_mount_at_a_route_of_the_api_is_refused_at_the_start(
    start: Start, path: str
) -> None:
    mount = HttpMount(path, Sample().tell)
    with pytest.raises(ConfigurationError, match=f"'sample' serves {path}"):
        async with start(mount):
            pass


# WebSockets


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


# What is logged


async def test_what_a_mount_logs_names_the_request_and_the_application(start: Start) -> None:
    async with start(logger={"adapter": "memory"}) as site:
        headers = {**await site.device(), "x-request-id": "abc"}
        await site.http.get("/logs", headers=headers)

    (record,) = [each for each in MEMORY.records if each.message == "a mount was called"]
    assert record.fields == {"requestId": "abc", "appId": "open"}
