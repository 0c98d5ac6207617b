"""A WebSocket by hand, for what a well-behaved library would not do or not show."""

from __future__ import annotations

import asyncio
import base64
import os
from urllib.parse import urlsplit


async def open_raw(
    url: str, *, receive_buffer: int = 1 << 16
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Shake hands; what is read and written from here on are the bare bytes.

    Of what is not read, no more than about `receive_buffer` bytes are taken from the network.
    """
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port, limit=receive_buffer
    )
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {address.path or '/'} HTTP/1.1\r\n"
        f"Host: {address.netloc}\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in answer.split(b"\r\n", 1)[0], answer
    return reader, writer


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A masked frame, as clients send them."""
    head = bytes([opcode | (0x80 if final else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + len(payload).to_bytes(8, "big")
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def text_frame(text: str) -> bytes:
    """A masked text frame."""
    return frame(1, text.encode())


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The opcode and payload of the next frame."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    return first & 0x0F, await reader.readexactly(length)
