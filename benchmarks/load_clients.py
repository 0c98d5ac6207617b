"""Clients that cost little, so that a benchmark measures the server and not its load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from server_process import APP

ANSWER_TIMEOUT = 15.0
TOGETHER = 16
"""Connections that are opened, or devices that are registered, at a time."""


def http_request(method: str, path: str, body: Any) -> bytes:
    """A request on a connection that is kept alive, as bytes."""
    payload = json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nnxx-app-id: {APP}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class HttpConnection(asyncio.Protocol):
    """One HTTP connection that is kept alive; one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(cls, port: int) -> HttpConnection:
        """Connect."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; the status and the body of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        _, _, after = head.lower().partition(b"content-length:")
        if len(body) < int(after.partition(b"\r\n")[0]):
            return
        self._buffer = b""
        if self._answer is not None:
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))


async def register_devices(port: int, count: int) -> list[str]:
    """The access tokens of as many new devices."""
    request = http_request("POST", "/device/register", {"name": "bench"})
    tokens: list[str] = []

    async def register(share: int) -> None:
        connection = await HttpConnection.open(port)
        for _ in range(share):
            status, body = await connection.ask(request)
            if status != 200:
                raise RuntimeError(f"a device was not registered: {status} {body.decode()}")
            tokens.append(json.loads(body)["token"])
        connection.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(TOGETHER):
            tasks.create_task(register(len(range(number, count, TOGETHER))))
    return tokens


class Device(WSListener):
    """A registered WebSocket connection; `on_push` is given each event frame as bytes."""

    def __init__(self, token: str, on_push: Callable[[bytes], None] | None) -> None:
        super().__init__()
        self._token = token
        self._on_push = on_push
        self._expected: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        port: int,
        token: str,
        on_push: Callable[[bytes], None] | None = None,
        path: str = "/ws",
    ) -> Device:
        """Connect and register; `path` is the API's, a gateway's own port has ``/``."""
        device = cls(token, on_push)
        await ws_connect(lambda: device, f"ws://127.0.0.1:{port}{path}")
        await asyncio.wait_for(device._expected, ANSWER_TIMEOUT)
        return device

    async def subscribe(self, model: str) -> None:
        """Follow all objects of a model."""
        self._expected = asyncio.get_running_loop().create_future()
        self.send({"event": "subscribe", "ref": "s", "data": {"model": model}})
        answer = json.loads(await asyncio.wait_for(self._expected, ANSWER_TIMEOUT))
        if answer["data"]["status"] != 200:
            raise RuntimeError(f"not subscribed: {answer}")

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame."""
        self._transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.send({"event": "register", "data": {"token": self._token}})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        if frame.msg_type != WSMsgType.TEXT:
            return
        payload = frame.get_payload_as_bytes()
        if self._on_push is not None and b'"event":"model_' in payload:
            self._on_push(payload)
        elif not self._expected.done():
            self._expected.set_result(payload)


async def open_devices(
    port: int,
    tokens: Sequence[str],
    on_push: Callable[[bytes], None] | None = None,
    path: str = "/ws",
) -> list[Device]:
    """A connection for each token, some at a time."""
    devices: list[Device] = []
    for start in range(0, len(tokens), TOGETHER):
        some = tokens[start : start + TOGETHER]
        devices += await asyncio.gather(
            *(Device.open(port, token, on_push, path) for token in some)
        )
    return devices
