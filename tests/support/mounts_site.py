"""A server whose transport has one mount of each kind, on a real port."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2

from nexxus.errors import InvalidParameters
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
from nexxus.toolkit.web_socket_frames import binary_message, text_message

PATIENCE = 10.0


ADMIN_KEY = "an-admin-key-for-tests-only"


APPLICATION = {"id": "open", "schema": {"task": {"title": {"type": "string"}}}}


class Sample(Transport):
    """Has one mount of each kind."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.waiting = self.lost = 0
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
            HttpMount("/wait", self.wait, authentication=Authentication.NONE, methods=("POST",)),
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

    async def wait(self, request: MountRequest) -> None:
        await request.read()
        self.waiting += 1
        await request.gone()
        self.lost += 1
        raise ConnectionResetError

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


def assert_error(answer: httpx2.Response, status: int, name: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["error"], body["requestId"]) == (name, answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"
