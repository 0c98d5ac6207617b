"""Fan-out: what one event costs the server per socket that it is for.

    python benchmarks/fanout.py [--over websockets|sse] [--sockets 1000] [--events 20] [--burst 100]
                                [--rounds 7]

One process serves the gateway, in which every socket follows one channel over WebSockets, then over
server-sent events, and beside it as many bare sockets; another process reads them all. Rounds of
events through the gateway alternate with rounds of a bare loop that writes the same prepared bytes
to the bare sockets. What is printed is the CPU time of the serving process, user and system, per
event and socket; and the ratio of the two, which a noisy machine does not change much.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, cast

import uvloop

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.adapters.sse.settings import SseSettings
from nexxus.adapters.sse.transport import SseTransport
from nexxus.adapters.websockets.transport import WebSocketTransport
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import Delivery, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.domain.verdicts import Verdict
from nexxus.gateway import Gateway, GatewaySettings
from nexxus.interfaces.logger import Level, Logger, LogRecord
from nexxus.interfaces.transport import Transport
from nexxus.testing.journal import Journal
from nexxus.testing.transport_port import mounts_app, serving
from nexxus.testing.transport_tokens import APP, KitActions, KitAuthentication

NODE, CHANNEL = "n1", "nxx:subscription:kit:task"
TRANSPORT = "websockets"
MAX_RATIO = 1.5
MAX_BURST_MICROSECONDS = 0.3
MAX_BYTES_PER_CONNECTION = 20 * 1024


class Stderr(Logger):
    """Prints what went wrong."""

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def is_enabled(self, level: Level) -> bool:
        return level >= Level.WARNING

    def write(self, record: LogRecord) -> None:
        print(record)


def event(version: int) -> Delivery:
    """An update of some 300 bytes."""
    patch = {"op": "replace", "path": ["status", "updatedAt"], "value": ["done", 1_700_000_000]}
    return Delivery(
        APP, "task", "0190-task", version, patches=[patch], verdicts={CHANNEL: Verdict.UPDATED}
    )


class Rig:
    """The serving process: a gateway and bare sockets, on one loop."""

    def __init__(self, arguments: argparse.Namespace, directory: str) -> None:
        self.arguments = arguments
        self.bare: list[asyncio.Transport] = []
        self.broker = InProcessBroker(InProcessBrokerSettings())
        self.registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=Path(directory), logger=Journal()
        )
        self.gateway = Gateway(
            GatewaySettings(),
            transport=TRANSPORT,
            peers=Peers(self.broker, here=NODE),
            broker=self.broker,
            registry=self.registry,
            actions=KitActions(),
            logger=Stderr(),
        )
        self.version = 0
        self.stack = contextlib.AsyncExitStack()

    async def run(self, pipe: Pipe) -> None:
        """Serve, measure, send the figures."""
        loop = asyncio.get_running_loop()
        await self.broker.open()
        await self.registry.open()
        inbox = Inbox(self.broker, gateway_mailbox(TRANSPORT, NODE), logger=Stderr())
        self.gateway.listen(inbox)
        await inbox.open()
        inbox_task = asyncio.create_task(inbox.run())
        transport: Transport = WebSocketTransport()
        if self.arguments.over == "sse":
            transport = SseTransport(SseSettings())
        await transport.start(self.gateway)
        actions = KitActions()
        app = mounts_app(transport, self.gateway, KitAuthentication(actions), is_gateways=True)
        port = await self.stack.enter_async_context(serving(app, backlog=4096))
        bare_server = await loop.create_server(
            lambda: Bare(self.bare), "127.0.0.1", 0, backlog=4096
        )
        figures, sockets = self.gateway.figures, self.arguments.sockets
        pipe.send(bare_server.sockets[0].getsockname()[1])
        while len(self.bare) < sockets:
            await asyncio.sleep(0.02)
        before = resident_bytes()
        pipe.send(port)
        while len(self.gateway.narrowed.devices(APP)) < sockets or figures.frames < sockets:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        memory = (resident_bytes() - before) / sockets
        for device in self.gateway.narrowed.devices(APP):
            await self.subscribe(device.device_id)
        pipe.send({"memory": memory, "cpu": await self.measure()})
        inbox_task.cancel()
        self.gateway.deadlines.close()
        await self.stack.aclose()

    async def subscribe(self, device: str) -> None:
        """Have the device follow the channel."""
        descriptor = Descriptor("task")
        route = Route(CHANNEL, APP, descriptor)
        subscription = Subscription(APP, device, CHANNEL, descriptor, route)
        await self.registry.subscriptions.put(subscription, TRANSPORT, NODE)
        await self.gateway.reconciliation.adopt(APP, device, CHANNEL)

    async def measure(self) -> dict[str, list[float]]:
        """Microseconds of CPU per event and socket, of each round."""
        figures: dict[str, list[float]] = {"bare": [], "single": [], "bare_burst": [], "burst": []}
        burst = self.arguments.burst
        for _ in range(self.arguments.rounds + 1):
            figures["bare"].append(await self.measure_bare(self.arguments.events, 1))
            figures["bare_burst"].append(await self.measure_bare(3, burst))
            figures["single"].append(await self.measure_gateway(self.arguments.events, 1))
            figures["burst"].append(await self.measure_gateway(3, self.arguments.burst))
        return {name: values[1:] for name, values in figures.items()}

    async def measure_bare(self, times: int, at_once: int) -> float:
        """The reference: nothing but a write of prepared bytes to every socket."""
        prepared = (b"\x81\x7e\x01\x10" + b"x" * 272) * at_once
        started = time.process_time()
        for _ in range(times):
            for transport in self.bare:
                transport.write(prepared)
            await asyncio.sleep(0.02 if at_once == 1 else 0.3)
        spent = time.process_time() - started
        return spent / (times * at_once * len(self.bare)) * 1e6

    async def measure_gateway(self, times: int, at_once: int) -> float:
        """The same through the gateway, from its mailbox to the sockets."""
        mailbox = gateway_mailbox(TRANSPORT, NODE)
        figures, sockets = self.gateway.figures, self.arguments.sockets
        frames, size = figures.frames, figures.bytes
        started = time.process_time()
        for _ in range(times):
            messages = []
            for _ in range(at_once):
                self.version += 1
                messages.append(event(self.version))
            await self.broker.send(mailbox, messages)
            await asyncio.sleep(0.02 if at_once == 1 else 0.3)
        spent = time.process_time() - started
        deliveries = times * at_once * sockets
        assert figures.frames - frames == deliveries, "not everything was delivered"
        assert figures.bytes - size > 200 * deliveries
        return spent / deliveries * 1e6


class Bare(asyncio.Protocol):
    """A socket that is only written to."""

    def __init__(self, transports: list[asyncio.Transport]) -> None:
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transports.append(cast("asyncio.Transport", transport))


class Reader(asyncio.BufferedProtocol):
    """Reads and forgets; opens a WebSocket or a stream of events first if it has a device."""

    shared = bytearray(1 << 18)

    def __init__(self, device: str | None, over: str) -> None:
        self._device = device
        self._is_web_socket = over == "websockets"
        self._is_upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        if self._device is not None and not self._is_web_socket:
            transport.write(
                f"GET /sse HTTP/1.1\r\nHost: x\r\nnxx-app-id: {APP}\r\n"
                f"Authorization: Bearer {self._device}\r\n\r\n".encode()
            )
        elif self._device is not None:
            key = base64.b64encode(os.urandom(16)).decode()
            transport.write(
                "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.shared

    def buffer_updated(self, nbytes: int) -> None:
        is_open = self._device is None or self._is_upgraded or not self._is_web_socket
        if is_open or self._transport is None:
            return
        self._is_upgraded = True
        payload = json.dumps({"event": "register", "data": {"token": self._device}}).encode()
        self._transport.write(bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload)


async def read(pipe: Pipe, sockets: int, over: str) -> None:
    """The reading process: all sockets of both kinds, until told to stop."""
    loop = asyncio.get_running_loop()
    bare_port = await loop.run_in_executor(None, pipe.recv)
    kept = [
        await loop.create_connection(lambda: Reader(None, over), "127.0.0.1", bare_port)
        for _ in range(sockets)
    ]
    port = await loop.run_in_executor(None, pipe.recv)
    for number in range(sockets):
        device = f"d{number}"
        kept.append(
            await loop.create_connection(lambda name=device: Reader(name, over), "127.0.0.1", port)
        )
    await loop.run_in_executor(None, pipe.recv)


def serve(pipe: Pipe, arguments: argparse.Namespace) -> None:
    """The serving process."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as directory:
            await Rig(arguments, directory).run(pipe)

    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(main())


def read_all(pipe: Pipe, sockets: int, over: str) -> None:
    """The reading process."""
    uvloop.run(read(pipe, sockets, over))


def resident_bytes() -> int:
    """The memory that the process occupies."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def allow_many_files() -> None:
    """As many sockets as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Measure, print, and exit with 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--over", choices=("websockets", "sse"), help="both, if not given")
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--events", type=int, default=20, help="single events per round")
    parser.add_argument("--burst", type=int, default=100, help="events at once")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    allow_many_files()
    kept = True
    for over in (arguments.over,) if arguments.over else ("websockets", "sse"):
        arguments.over = over
        kept &= report(arguments, measure(arguments))
    raise SystemExit(0 if kept else 1)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of one transport, from a pair of processes of its own."""
    context = multiprocessing.get_context("spawn")
    ours, servers = context.Pipe()
    our_readers, readers = context.Pipe()
    server = context.Process(target=serve, args=(servers, arguments), daemon=True)
    reading = (readers, arguments.sockets, arguments.over)
    reader = context.Process(target=read_all, args=reading, daemon=True)
    server.start()
    reader.start()
    servers.close()
    for _ in range(2):
        our_readers.send(ours.recv())
    figures: dict[str, Any] = ours.recv()
    our_readers.send("stop")
    reader.join(10)
    server.join(10)
    return figures


def report(arguments: argparse.Namespace, figures: dict[str, Any]) -> bool:
    """Print the figures; whether every promise is kept."""
    cpu, memory = figures["cpu"], figures["memory"]
    middle = {name: statistics.median(values) for name, values in cpu.items()}
    ratio = statistics.median(
        one / other for one, other in zip(cpu["single"], cpu["bare"], strict=True)
    )
    print(f"{arguments.over}: an event to {arguments.sockets} sockets, CPU per event and socket")
    print(f"  bare loop of writes           {middle['bare']:8.3f} µs")
    print(
        f"  gateway                       {middle['single']:8.3f} µs,"
        f" {ratio:.2f} × (goal: at most {MAX_RATIO})"
    )
    print(f"{arguments.over}: {arguments.burst} events at once, joined")
    print(f"  bare loop of writes           {middle['bare_burst']:8.3f} µs")
    print(
        f"  gateway                       {middle['burst']:8.3f} µs"
        f" (goal: at most {MAX_BURST_MICROSECONDS})"
    )
    print(f"{arguments.over}: an idle connection that has registered")
    print(
        f"  resident memory               {memory / 1024:8.1f} KB"
        f" (goal: at most {MAX_BYTES_PER_CONNECTION // 1024})"
    )
    return (
        ratio <= MAX_RATIO
        and middle["burst"] <= MAX_BURST_MICROSECONDS
        and memory <= MAX_BYTES_PER_CONNECTION
    )


if __name__ == "__main__":
    main()
