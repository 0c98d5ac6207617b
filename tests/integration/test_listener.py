"""A port: how it is taken, and closed while clients use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexxus.errors import StartupError
from nexxus.process.listeners import Listener

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def greet(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener(
        greet,
        host="127.0.0.1",
        port=0,
        max_connections=10,
        drain_timeout=10,
        setting="api.port",
    )
    listener.bind()
    await listener.start()
    yield listener
    await listener.stop()


async def test_who_has_connected_before_a_stop_is_answered_once(listener: Listener) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    unused, _ = await asyncio.open_connection("127.0.0.1", listener.port)
    # Connections are accepted in their order: when this one is answered, those above are there.
    kept, later = await asyncio.open_connection("127.0.0.1", listener.port)
    later.write(REQUEST)
    assert (await kept.readuntil(b"hello")).startswith(b"HTTP/1.1 200")

    stopping = asyncio.create_task(listener.stop())
    assert await kept.read() == b""  # the port is closed
    writer.write(REQUEST)

    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert answer.endswith(b"hello")
    assert await unused.read() == b""
    await stopping
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", listener.port)


def listener_at(host: str, **options: Any) -> Listener:
    return Listener(
        greet, host=host, port=8080, max_connections=1, drain_timeout=1, setting="x", **options
    )


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("example.com", "http://example.com:8080"),
    ],
)
def test_its_url_leads_to_it(host: str, url: str) -> None:
    assert listener_at(host).url == url


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    certificate = tmp_path / "server.pem"
    if content is not None:
        certificate.write_text(content)

    with pytest.raises(StartupError, match=r"api\.tls_certificate .*server\.pem .*PEM"):
        listener_at("127.0.0.1", tls=(str(certificate), str(certificate))).bind()
