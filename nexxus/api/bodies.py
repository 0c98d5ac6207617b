"""Bodies: reads the bytes of a request, up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.types import Receive

from nexxus.errors import PayloadTooLarge

_DRAIN_SECONDS: Final = 2.0
_DRAIN_BYTES: Final = 16 * 1024 * 1024


class ClientDisconnected(Exception):
    """The client has disconnected and will not read a response."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """Return the whole body. Raises `PayloadTooLarge` beyond `limit` bytes."""
    announced = headers.get(b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        await _drain(receive)
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    first: bytes = message.get("body", b"")
    if len(first) > limit:
        if message.get("more_body", False):
            await _drain(receive)
        raise _too_large(limit)
    if not message.get("more_body", False):
        return first
    chunks, size = [first], len(first)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            if message.get("more_body", False):
                await _drain(receive)
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


async def _drain(receive: Receive) -> None:
    """Read and discard the rest of the body for a limited time.

    Closing a connection during an upload would reset it, and the client would never see the
    response.
    """
    drained = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while drained < _DRAIN_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                drained += len(message["body"])


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {limit} bytes", {"rule": "limits.body"})
