"""Transports that somebody else has written, in a whole server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nexxus.config import Config
from nexxus.errors import ConfigurationError, StartupError
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.mounts import HttpMount, MountRequest, Stream
from nexxus.interfaces.transport import Framing, ServerFrame, Transport, TransportHost, Wire
from nexxus.server import Nexxus

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "line-transport"
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
