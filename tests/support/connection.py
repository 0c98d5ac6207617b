"""One WebSocket connection: frames out, frames in, kept in the order in which they came."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
from waiting import PATIENCE
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Frame = dict[str, Any]
JSON = "nexxus.v1.json"
MSGPACK = "nexxus.v1.msgpack"


class Connection:
    """A socket with a reader in the background; `frames` holds everything it has received."""

    def __init__(
        self, socket: ClientConnection, protocol: str, on_frame: Callable[[Frame], None] | None
    ) -> None:
        self.socket = socket
        self.protocol = protocol
        self.frames: list[Frame] = []
        self.failure: Exception | None = None
        self._on_frame = on_frame
        self._arrival = asyncio.Event()
        self._refs = itertools.count(1)
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        protocol: str | None = None,
        on_frame: Callable[[Frame], None] | None = None,
        ping_interval: float | None = None,
    ) -> Connection:
        """Connect; `protocol` None offers none, as older clients do.

        With a `ping_interval`, a server that leaves a ping unanswered so long counts as lost.
        """
        socket = await open_websocket(
            url,
            subprotocols=[Subprotocol(protocol)] if protocol else None,
            max_size=None,
            ping_interval=ping_interval,
            ping_timeout=ping_interval,
            open_timeout=PATIENCE,
            close_timeout=2,
            proxy=None,
        )
        return cls(socket, protocol or JSON, on_frame)

    # Out

    async def send(self, event: str, data: Any = None, **beside: Any) -> None:
        """Send a frame; `beside` are keys next to ``event`` and ``data``, such as ``ref``."""
        frame = {"event": event, **beside}
        if data is not None:
            frame["data"] = data
        await self.send_raw(self.encode(frame))

    async def send_raw(self, message: str | bytes) -> None:
        """Send a message as it is."""
        await self.socket.send(message)

    def encode(self, frame: Any) -> str | bytes:
        """A frame in this connection's protocol."""
        return msgspec.msgpack.encode(frame) if self.protocol == MSGPACK else json.dumps(frame)

    async def request(self, event: str, data: Any) -> Frame:
        """Send a frame that is answered by a ``reply``; the reply's ``data``."""
        ref = f"r{next(self._refs)}"
        await self.send(event, data, ref=ref)
        reply = await self.wait_for(lambda f: f["event"] == "reply" and f.get("ref") == ref)
        data = reply["data"]
        assert set(reply) == {"event", "ref", "data"}, reply
        assert isinstance(data["status"], int), reply
        assert set(data) - {"status", "data", "error"} == set(), reply
        return data  # type: ignore[no-any-return]

    # In

    async def wait_for(
        self,
        match: str | Callable[[Frame], bool],
        *,
        after: int = 0,
        patience: float = PATIENCE,
    ) -> Frame:
        """The first frame from position `after` on that is called so, or that `match` accepts."""
        wanted = match if callable(match) else lambda frame: frame["event"] == match
        position = after
        async with _patience(patience, lambda: f"no such frame among {self.frames[after:]}"):
            while True:
                for frame in self.frames[position:]:
                    if wanted(frame):
                        return frame
                position = len(self.frames)
                if self._reader.done():
                    raise AssertionError(
                        f"closed with {self.close_code} while waiting; got {self.frames[after:]}"
                    )
                self._arrival.clear()
                await self._arrival.wait()

    async def wait_closed(self, patience: float = PATIENCE) -> int:
        """The code with which the server closes the connection."""
        async with _patience(patience, lambda: f"still open; got {self.frames}"):
            await asyncio.shield(self._reader)
        assert self.close_code is not None
        return self.close_code

    async def ended(self) -> None:
        """Return when no frame can arrive any more, however the connection ended."""
        await asyncio.wait([self._reader])

    @property
    def close_code(self) -> int | None:
        """The code of the close, 1006 where there was none, None while open."""
        return self.socket.close_code

    @property
    def is_open(self) -> bool:
        """Frames may still arrive."""
        return not self._reader.done()

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                frame = self._decode(message)
                self.frames.append(frame)
                self._hand_over(frame)
                self._arrival.set()
        except ConnectionClosed:
            pass
        finally:
            self._arrival.set()

    def _hand_over(self, frame: Frame) -> None:
        """Show the frame to the owner, who may find a broken promise in it."""
        if self._on_frame is None:
            return
        try:
            self._on_frame(frame)
        except Exception as error:
            self.failure = self.failure or error

    def _decode(self, message: str | bytes) -> Frame:
        binary = self.protocol == MSGPACK
        assert isinstance(message, bytes) is binary, f"wrong kind of frame: {message!r}"
        frame = msgspec.msgpack.decode(message) if binary else json.loads(message)
        assert isinstance(frame, dict), frame
        assert isinstance(frame["event"], str), frame
        assert set(frame) <= {"event", "ref", "data"}, frame
        return frame

    # Ends

    def detach(self) -> None:
        """Show the owner no further frames: it has turned to another connection."""
        self._on_frame = None

    async def close(self) -> None:
        """Close in an orderly way."""
        await self.socket.close()
        await self._reader

    async def drop(self) -> None:
        """Vanish without a word, as a phone in a tunnel does."""
        self.socket.transport.abort()
        await self._reader


class _patience:  # noqa: N801  (reads as a statement: async with _patience(…))
    """`asyncio.timeout` whose error says what was waited for."""

    def __init__(self, seconds: float, story: Callable[[], str]) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._story = story

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *exc: Any) -> None:
        try:
            await self._timeout.__aexit__(*exc)
        except TimeoutError:
            raise AssertionError(self._story()) from None
