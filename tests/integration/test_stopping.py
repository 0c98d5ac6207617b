"""A stop finishes what was accepted, is over in time, and leaves nothing open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from waiting import PATIENCE, eventually

from nexxus import Config, Nexxus
from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.settings import InProcessBrokerSettings
from nexxus.adapters.websockets.transport import WebSocketTransport
from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.interfaces.broker import EVENTS, Message, Topic
from nexxus.interfaces.mounts import WebSocketMount
from nexxus.interfaces.registry import Node
from nexxus.interfaces.worker import Worker

DRAIN_TIMEOUT = 0.3
APPLICATION = {"id": "open", "schema": {"note": {"text": {"type": "string"}}}}


class Recorder(Worker):
    """Remembers what it has handled, and does on the way what a test wants."""

    batch = 10

    def __init__(self, before: Callable[[Sequence[Event]], Any], on_close: Callable[[], Any]):
        self.handled: list[str] = []
        self._before = before
        self._on_close = on_close

    async def handle(self, events: Sequence[Event]) -> None:
        await self._before(events)
        self.handled += [event.id for event in events]

    async def close(self) -> None:
        self._on_close()


async def at_once(_: Sequence[Event]) -> None: ...


class Plugin:
    """A recorder, a transport, and a broker that says when it is closed."""

    def __init__(
        self,
        *,
        before: Callable[[Sequence[Event]], Any] = at_once,
        on_close: Callable[[], Any] = lambda: None,
    ) -> None:
        self.closed: list[str] = []
        self.worker = Recorder(before, on_close)

    @hookimpl
    def nexxus_workers(self) -> list[Adapter]:
        return [Adapter("recorder", None, lambda *_: self.worker, interface=1)]

    @hookimpl
    def nexxus_brokers(self) -> list[Adapter]:
        plugin = self

        class Closing(InProcessBroker):
            async def close(self) -> None:
                await super().close()
                plugin.closed.append("broker")

        def create(settings: Any, context: AdapterContext) -> Any:
            return Closing(InProcessBrokerSettings())

        return [Adapter("closing", None, create, interface=1, scope="process")]

    @hookimpl
    def nexxus_transports(self) -> list[Adapter]:
        class Broken(WebSocketTransport):
            async def stop(self) -> None:
                raise ValueError("a transport that cannot stop")

        class Sound(WebSocketTransport):
            @property
            def mounts(self) -> list[WebSocketMount]:
                return []

            async def stop(sound) -> None:  # noqa: N805
                self.closed.append("transport")

        return [
            Adapter("broken", None, lambda *_: Broken(), interface=1),
            Adapter("sound", None, lambda *_: Sound(), interface=1),
        ]


def serving(tmp_path: Path, plugin: Plugin, **sections: Any) -> Nexxus:
    server = {
        "data_dir": str(tmp_path),
        "drain_timeout": PATIENCE,
        "workers": ["recorder"],
        **sections.pop("server", {}),
    }
    settings = {
        "server": server,
        "admin": {"key": "an-admin-key-for-tests-only"},
        "logger": {"level": "critical"},
        "applications": [APPLICATION],
        **sections,
    }
    return Nexxus(Config.from_mapping(settings, plugins=[plugin]))


async def write(nexxus: Nexxus, number: int) -> list[str]:
    """Write so many notes; their ids."""
    ids = [f"n{each}" for each in range(number)]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(nexxus.app),
        base_url="http://nexxus",
        headers={"nxx-app-id": "open"},
    ) as http:
        for each in ids:
            answer = await http.post("/model/note", json={"id": each, "text": "x"})
            assert answer.status_code == 202, answer.text
    return ids


async def test_what_waits_for_a_worker_is_handled_before_the_process_ends(tmp_path: Path) -> None:
    may_go_on = asyncio.Event()

    async def when_let(_: Sequence[Event]) -> None:
        await may_go_on.wait()

    plugin = Plugin(before=when_let)
    nexxus = serving(tmp_path, plugin)
    async with nexxus:
        ids = await write(nexxus, 35)
        assert plugin.worker.handled == []
        may_go_on.set()

    assert plugin.worker.handled == ids


async def test_what_a_worker_fails_with_while_the_server_stops_is_tried_again(
    tmp_path: Path,
) -> None:
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    failures = 1

    async def fail_once(_: Sequence[Event]) -> None:
        nonlocal failures
        begun.set()
        await may_go_on.wait()
        if failures:
            failures -= 1
            raise ValueError("try again")

    plugin = Plugin(before=fail_once)
    nexxus = serving(tmp_path, plugin)
    await nexxus.start()
    ids = await write(nexxus, 1)
    await begun.wait()
    stopping = asyncio.create_task(nexxus.stop())
    await eventually(nexxus.problems)
    may_go_on.set()
    await stopping

    assert plugin.worker.handled == ids


async def test_what_is_stored_and_could_not_be_told_yet_is_told_before_the_writer_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin()
    nexxus = serving(tmp_path, plugin)
    await nexxus.start()
    publish, has_failed = nexxus.broker.publish, asyncio.Event()

    async def fail_once(topic: Topic[Any], messages: Sequence[Message[Any]]) -> None:
        if topic == EVENTS and not has_failed.is_set():
            has_failed.set()
            raise ServiceUnavailable("the queue is full")
        await publish(topic, messages)

    monkeypatch.setattr(nexxus.broker, "publish", fail_once)
    writing = asyncio.create_task(write(nexxus, 1))
    await has_failed.wait()
    async with asyncio.timeout(PATIENCE):
        await nexxus.stop()

    assert plugin.worker.handled == await writing


async def test_a_worker_that_hangs_is_cut_off_after_the_drain_timeout(tmp_path: Path) -> None:
    begun = asyncio.Event()
    was_cancelled = False

    async def hang(_: Sequence[Event]) -> None:
        nonlocal was_cancelled
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled = True
            raise

    plugin = Plugin(before=hang)
    nexxus = serving(tmp_path, plugin, server={"drain_timeout": DRAIN_TIMEOUT})
    async with asyncio.timeout(PATIENCE):
        async with nexxus:
            await write(nexxus, 1)
            await begun.wait()

    assert was_cancelled
    assert plugin.worker.handled == []


async def test_a_plugin_that_cannot_close_leaves_nothing_else_open(tmp_path: Path) -> None:
    def raise_it() -> None:
        raise ValueError("a worker that cannot close")

    plugin = Plugin(on_close=raise_it)
    nexxus = serving(
        tmp_path,
        plugin,
        broker={"adapter": "closing"},
        gateway={"transports": ["sound", "broken"]},
    )
    async with nexxus:
        registry = nexxus.registry

    assert plugin.closed == ["transport", "broker"]
    with pytest.raises(ServiceUnavailable):
        await registry.nodes.alive()


async def test_a_start_that_fails_closes_what_it_has_opened(tmp_path: Path) -> None:
    plugin = Plugin()
    nexxus = serving(tmp_path, plugin, broker={"adapter": "closing"})
    taken = serving(tmp_path, Plugin())
    async with taken:
        with pytest.raises(Exception, match="in use by another process"):
            await nexxus.start()
        await nexxus.stop()

    assert plugin.closed == ["broker"]


async def test_a_node_says_nothing_more_once_it_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    nexxus = serving(tmp_path, Plugin())
    await nexxus.start()
    announcing, has_left = asyncio.Event(), asyncio.Event()

    async def announce(node: Node, lifetime: float) -> bool:
        announcing.set()
        await has_left.wait()
        said.append("here I am")
        return True

    async def retire(node_id: str) -> None:
        has_left.set()
        await asyncio.sleep(0)
        said.append("gone")

    monkeypatch.setattr(nexxus.registry.nodes, "announce", announce)
    monkeypatch.setattr(nexxus.registry.nodes, "retire", retire)
    await announcing.wait()
    await nexxus.stop()

    assert said == ["gone"]


async def test_draining_twice_is_draining_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nexxus = serving(tmp_path, Plugin())
    await nexxus.start()
    gateway = nexxus.transports.gateways["websockets"]
    drain, drained = gateway.drain, 0

    async def count() -> None:
        nonlocal drained
        drained += 1
        await drain()

    monkeypatch.setattr(gateway, "drain", count)
    await asyncio.gather(nexxus.drain(), nexxus.drain())
    await nexxus.stop()
    await nexxus.stop()

    assert drained == 1


async def test_a_server_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    nexxus = serving(tmp_path, Plugin())

    await nexxus.drain()
    await nexxus.stop()
