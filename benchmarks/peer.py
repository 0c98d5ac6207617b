"""Fan-out side by side with Centrifugo, a message server in Go: the same bench for both.

    GOBIN=$PWD go install github.com/centrifugal/centrifugo/v6@latest
    python benchmarks/peer.py --centrifugo ./centrifugo [--sockets 1000] [--events 200]

As many sockets follow one channel of each server, in JSON over WebSocket. Rounds of events, one
at a time, and of bursts of them, alternate between the two; what is printed is the CPU time of the
server's process, user and system, per event and socket. Nexxus does more: each event is a write
that is stored before it is told. Without ``--centrifugo`` and without one on the path it says so
and measures nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import uvloop
from load_clients import TOGETHER, Device, HttpConnection, register_devices
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from server_process import (
    MODEL,
    ServerProcess,
    allow_many_files,
    free_port,
    nexxus_server,
    running_process,
    wait_until_listening,
)

BURST = 100
BURSTS = 3
ARRIVED_WITHIN = 60.0
KEY = "a-key-for-the-bench"


class Counter:
    """Counts what arrives at all sockets together."""

    def __init__(self) -> None:
        self.arrived = 0

    async def reaches(self, count: int) -> None:
        """Return when so many have arrived."""
        async with asyncio.timeout(ARRIVED_WITHIN):
            while self.arrived < count:
                await asyncio.sleep(0.002)


class Peer(ABC):
    """One of the two servers, and the sockets that follow its channel."""

    name: ClassVar[str]

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.counter = Counter()
        self.sockets: list[Any] = []

    @abstractmethod
    async def follow(self, sockets: int) -> None:
        """Open the sockets, each of which follows the channel."""

    @abstractmethod
    async def publish(self, events: int) -> None:
        """Have the server tell so many events, at once; returns when it has taken them."""

    async def measure(self, rounds: int, at_once: int) -> float:
        """Microseconds of the server's CPU per event and socket."""
        target, cpu = self.counter.arrived, self.server.cpu_seconds()
        for _ in range(rounds):
            target += at_once * len(self.sockets)
            await self.publish(at_once)
            await self.counter.reaches(target)
        spent = self.server.cpu_seconds() - cpu
        return spent / (rounds * at_once * len(self.sockets)) * 1e6


class Nexxus(Peer):
    """Each event is the update of an object."""

    name = "Nexxus"

    async def follow(self, sockets: int) -> None:
        tokens = await register_devices(self.server.port, sockets + 1)
        self.writer = await Device.open(self.server.port, tokens[0])
        create = {"type": MODEL, "id": "seen", "title": "by everybody", "points": 0}
        self.writer.send({"event": "create", "ref": "w", "data": create})
        for start in range(1, len(tokens), TOGETHER):
            some = tokens[start : start + TOGETHER]
            self.sockets += await asyncio.gather(*map(self._follow, some))

    async def _follow(self, token: str) -> Device:
        device = await Device.open(self.server.port, token, self._on_push)
        await device.subscribe(MODEL)
        return device

    def _on_push(self, payload: bytes) -> None:
        self.counter.arrived += b'"model_updated"' in payload

    async def publish(self, events: int) -> None:
        patch = {"op": "incr", "path": "points", "value": 1}
        for _ in range(events):
            data = {"type": MODEL, "id": "seen", "patch": patch}
            self.writer.send({"event": "update", "ref": "w", "data": data})


class CentrifugoSocket(WSListener):
    """A connection to Centrifugo that follows the channel ``bench``."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter
        self.is_subscribed = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        for command in (
            {"id": 1, "connect": {}},
            {"id": 2, "subscribe": {"channel": "bench"}},
        ):
            transport.send(WSMsgType.TEXT, json.dumps(command).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if b"{}" in payload.splitlines():  # a ping, maybe behind others: it wants the same back
            transport.send(WSMsgType.TEXT, b"{}")
        if b'"id":2' in payload and not self.is_subscribed.done():
            self.is_subscribed.set_result(b'"error"' not in payload)
        self._counter.arrived += payload.count(b'"pub":')


class Centrifugo(Peer):
    """Each event is a publication of as many bytes as Nexxus's updates."""

    name = "Centrifugo"
    data: ClassVar = {
        "id": "seen",
        "patches": [
            {"op": "replace", "path": ["points", "updatedAt"], "value": [1, 1_700_000_000]}
        ],
        "more": "x" * 180,
    }

    async def follow(self, sockets: int) -> None:
        self.http = await HttpConnection.open(self.server.port)
        for start in range(0, sockets, TOGETHER):
            count = min(TOGETHER, sockets - start)
            self.sockets += await asyncio.gather(*(self._follow() for _ in range(count)))

    async def _follow(self) -> CentrifugoSocket:
        socket = CentrifugoSocket(self.counter)
        url = f"ws://127.0.0.1:{self.server.port}/connection/websocket"
        await ws_connect(lambda: socket, url)
        if not await asyncio.wait_for(socket.is_subscribed, ARRIVED_WITHIN):
            raise RuntimeError("Centrifugo did not let a socket subscribe")
        return socket

    async def publish(self, events: int) -> None:
        command = {"publish": {"channel": "bench", "data": self.data}}
        body = json.dumps({"commands": [command] * events}).encode()
        head = (
            f"POST /api/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        status, answer = await self.http.ask(head.encode() + body)
        if status != 200 or b'"error"' in answer:
            raise RuntimeError(f"Centrifugo did not take the events: {status} {answer.decode()}")


@contextmanager
def centrifugo_server(command: str) -> Iterator[ServerProcess]:
    """Centrifugo with its defaults, open to anybody."""
    port = free_port()
    settings = {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "http_api": {"key": KEY},
        "log": {"level": "error"},
        "client": {"allow_anonymous_connect_without_token": True},
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": True,
                "allow_subscribe_for_anonymous": True,
            }
        },
    }
    with tempfile.TemporaryDirectory(prefix="centrifugo-bench-") as name:
        path = Path(name, "config.json")
        path.write_text(json.dumps(settings))
        arguments = [command, "--config", str(path)]
        with running_process(arguments, Path(name), port) as server:
            wait_until_listening(port)
            yield server


async def run(peers: list[Peer], arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The median figures of each server, by its name and by what was measured."""
    for peer in peers:
        await peer.follow(arguments.sockets)
    figures: dict[str, dict[str, list[float]]] = {
        peer.name: {"one": [], "burst": []} for peer in peers
    }
    for _ in range(arguments.rounds + 1):
        for peer in peers:
            share = max(1, arguments.events // arguments.rounds)
            figures[peer.name]["one"].append(await peer.measure(share, 1))
            figures[peer.name]["burst"].append(await peer.measure(BURSTS, BURST))
    return {
        name: {what: statistics.median(values[1:]) for what, values in of_peer.items()}
        for name, of_peer in figures.items()
    }


def main() -> None:
    """Measure, print, and exit with 1 when the peer is ahead."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--centrifugo", default="centrifugo", help="its program")
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    command = shutil.which(arguments.centrifugo)
    if command is None:
        print(f"peer  {arguments.centrifugo} is not there; see the first lines of {__file__}")
        return
    allow_many_files()
    command = os.path.abspath(command)
    with nexxus_server() as nexxus, centrifugo_server(command) as centrifugo:
        figures = uvloop.run(run([Nexxus(nexxus), Centrifugo(centrifugo)], arguments))
    ours, theirs = figures["Nexxus"], figures["Centrifugo"]
    for what, words in (("one", "one event at a time"), ("burst", f"{BURST} events at once")):
        print(
            f"peer  {words} to {arguments.sockets} sockets, CPU per event and socket:"
            f" Nexxus {ours[what]:.2f} µs   Centrifugo {theirs[what]:.2f} µs"
            f"   ratio {ours[what] / theirs[what]:.2f}"
        )
    is_ahead = all(ours[what] < theirs[what] for what in ours)
    raise SystemExit(0 if is_ahead else 1)


if __name__ == "__main__":
    main()
