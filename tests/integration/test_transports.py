"""Transports that somebody else has written, in a whole server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from transport_peers import LinePeer

from nexxus.config import Config
from nexxus.errors import ConfigurationError, StartupError
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.mounts import HttpMount, MountRequest, Stream
from nexxus.interfaces.transport import Framing, ServerFrame, Transport, TransportHost, Wire
from nexxus.server import Nexxus

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "line-transport"
PATIENCE = 20.0
APPLICATION = {"id": "open", "schema": {"task": {"title": {"type": "string"}}}}


class EventStreamFraming(Framing):
    """Server-sent events."""

    def frame(self, frame: ServerFrame) -> bytes:
        id_line = b"" if frame.cursor is None else b"id: %b\n" % frame.cursor.encode()
        return b"%bevent: %b\ndata: %b\n\n" % (id_line, frame.event.encode(), frame.data)


class EventStreams(Transport):
    """SSE on the API's port: what a client sends goes over HTTP, as it is."""

    framing = EventStreamFraming()

    async def start(self, host: TransportHost) -> None:
        self._host = host

    async def stop(self) -> None:
        return

    @property
    def mounts(self) -> list[HttpMount]:
        return [HttpMount("/events", self._serve)]

    async def _serve(self, request: MountRequest) -> None:
        assert request.identity is not None
        wire = StreamWire()
        connection = self._host.accept(wire, self.framing)
        try:
            cursor = request.headers.get("last-event-id")
            await connection.register(request.identity, cursor=cursor)
            wire.begin(await request.stream(b"text/event-stream", lost=connection.lost))
        except BaseException:
            connection.lost()
            raise


class StreamWire(Wire):
    """Holds back what comes before the stream has begun."""

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._early: list[bytes] = []

    def begin(self, stream: Stream) -> None:
        self._stream = stream
        for frames in self._early:
            stream.write(frames)

    def write(self, frames: bytes) -> bool:
        if self._stream is None:
            self._early.append(frames)
            return True
        return self._stream.write(frames)

    def close(self, code: int, reason: str) -> None:
        if self._stream is not None:
            self._stream.end()

    def abort(self) -> None:
        if self._stream is not None:
            self._stream.abort()


class EventStreamPlugin:
    """A plugin as an embedder gives it."""

    @hookimpl
    def nexxus_transports(self) -> list[Adapter]:
        return [Adapter("events", None, lambda *_: EventStreams(), interface=1)]


STREAMS = EventStreamPlugin()


class StreamClient:
    """A client of server-sent events, straight into an ASGI application."""

    def __init__(self, app: Any, token: str, last_event_id: str | None = None) -> None:
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"nxx-app-id", b"open")]
        if last_event_id is not None:
            headers.append((b"last-event-id", last_event_id.encode()))
        scope = {"type": "http", "method": "GET", "path": "/events", "headers": headers}
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.last_event_id = last_event_id
        self._has_left = asyncio.Event()
        self._events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return await self._events.get()

    async def leave(self) -> None:
        self._has_left.set()
        await self.task

    async def _receive(self) -> Any:
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status.set_result(message["status"])
            return
        for block in message["body"].decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            self.last_event_id = fields.get("id", self.last_event_id)
            self._events.put_nowait((fields["event"], json.loads(fields["data"])))


def configuration(tmp_path: Path, *names: str, given: list[Any], lines_port: int = 0) -> Config:
    settings: dict[str, Any] = {
        "server": {"data_dir": str(tmp_path)},
        "logger": {"level": "critical"},
        "gateway": {"transports": list(names)},
        "applications": [APPLICATION],
    }
    if "lines" in names:
        settings["plugins"] = {"lines": {"port": lines_port}}
    return Config.from_mapping(settings, plugins=given)


def client_of(nexxus: Nexxus) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(nexxus.app),
        base_url="http://nexxus",
        headers={"nxx-app-id": "open"},
    )


async def device(http: httpx2.AsyncClient) -> tuple[str, dict[str, str]]:
    """A device's token, and the headers of its requests."""
    answer = await http.post("/device/register", json={"name": "a device"})
    token = answer.json()["token"]
    return token, {"authorization": f"Bearer {token}"}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's plugin."""
    monkeypatch.syspath_prepend(EXAMPLE)
    import nexxus_lines

    return nexxus_lines


@pytest.fixture
async def nexxus(tmp_path: Path) -> AsyncIterator[Nexxus]:
    """A server with the built-in transport and server-sent events."""
    config = configuration(tmp_path, "websockets", "events", given=[STREAMS])
    async with Nexxus(config) as nexxus:
        yield nexxus


async def test_a_device_subscribes_over_http_and_is_told_over_its_transport(
    nexxus: Nexxus,
) -> None:
    async with client_of(nexxus) as http:
        token, headers = await device(http)
        stream = StreamClient(nexxus.app, token)
        assert await stream.status == 200
        assert (await stream.next())[0] == "register"

        answer = await http.post("/subscription/", json={"model": "task"}, headers=headers)
        assert answer.status_code == 200, answer.text
        await http.post("/model/task", json={"id": "t1", "title": "x"})

        event, data = await stream.next()
        assert (event, data["model"]["id"]) == ("model_created", "t1")
        assert stream.last_event_id == data["metadata"]["cursor"]
        known = await http.get("/device", headers=headers)
        assert (known.json()["status"], known.json()["transport"]) == ("online", "events")
        await stream.leave()


async def test_a_stream_resumes_where_it_was(nexxus: Nexxus) -> None:
    async with client_of(nexxus) as http:
        token, headers = await device(http)
        stream = StreamClient(nexxus.app, token)
        await stream.next()
        await http.post("/subscription/", json={"model": "task"}, headers=headers)
        await http.post("/model/task", json={"id": "t1", "title": "x"})
        await stream.next()
        await stream.leave()
        await http.post("/model/task", json={"id": "t2", "title": "x"})

        again = StreamClient(nexxus.app, token, stream.last_event_id)

        events = [await again.next() for _ in range(3)]
        assert [event for event, _ in events] == ["register", "model_created", "resume"]
        assert events[1][1]["model"]["id"] == "t2"
        await again.leave()


async def test_a_bad_token_is_refused_before_the_mount_is_called(nexxus: Nexxus) -> None:
    stream = StreamClient(nexxus.app, "nonsense")

    assert await stream.status == 401
    await stream.task


async def test_the_api_is_what_no_transport_serves(nexxus: Nexxus) -> None:
    async with client_of(nexxus) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/eventsource")).json()["error"] == "NotFoundException"


async def test_a_device_has_one_connection_whatever_the_transports(
    tmp_path: Path, lines: Any
) -> None:
    config = configuration(tmp_path, "events", "lines", given=[STREAMS, lines])
    async with Nexxus(config) as nexxus, client_of(nexxus) as http:
        token, headers = await device(http)
        stream = StreamClient(nexxus.app, token)
        await stream.next()
        await http.post("/subscription/", json={"model": "task"}, headers=headers)

        port = nexxus.transports._transports["lines"].port  # type: ignore[attr-defined]
        line = LinePeer(*await asyncio.open_connection("127.0.0.1", port))
        async with asyncio.timeout(PATIENCE):
            await line.register(token, stream.last_event_id)
            await stream.task
            event, data = await line.next()
            assert (event, len(data["channels"])) == ("resync", 1)
            status, _ = await line.request("create", {"type": "task", "id": "t1", "title": "x"})
            assert status == 202
            event, data = await line.next()
        assert (event, data["model"]["id"]) == ("model_created", "t1")
        await line.leave()


async def test_a_transport_that_cannot_start_is_a_start_that_fails(
    tmp_path: Path, lines: Any
) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    config = configuration(tmp_path, "lines", given=[lines], lines_port=port)
    with pytest.raises(StartupError, match=f"port {port}"):
        await Nexxus(config).start()
    taken.close()


def test_an_unknown_transport_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.transports"):
        configuration(tmp_path, "websocket", given=[])
