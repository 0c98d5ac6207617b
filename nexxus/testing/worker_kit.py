"""The conformance kit for `nexxus.interfaces.worker.Worker`.

Subclass `WorkerConformance` in a test module; name the plugin's module and the worker, and say what
the worker has done::

    class TestMailWorker(WorkerConformance):
        plugin = nexxus_mail
        name = "mail"

        @pytest.fixture(autouse=True)
        def mail_server(self):
            self.mails = FakeMailServer()

        def settings(self):
            return {"smtp": self.mails.address}

        async def effects(self):
            return sorted(self.mails.subjects)

The kit runs the worker in a whole Nexxus, in this process and a folder of its own. A test of your
own in the same class calls the worker directly::

        async def test_a_mail_that_the_server_refuses_is_reported(self, nexxus):
            async with self.opened(nexxus) as worker:
                (failed,) = await worker.handle([event])
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from nexxus.config import Config
from nexxus.domain.events import Event
from nexxus.domain.objects import new_id
from nexxus.errors import ServiceUnavailable
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.broker import EVENTS, Broker, Group, Message, Undecodable, worker_group
from nexxus.interfaces.logger import Level, Logger
from nexxus.interfaces.worker import Worker, WorkerContext, WorkerObjects
from nexxus.plugins import AdapterKind
from nexxus.server import Nexxus
from nexxus.testing.journal import Journal
from nexxus.workers.objects import OwnObjects
from nexxus.workers.state import StoredState

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

APP: Final = "kit"

_WITNESS: Final[Group[Event]] = Group(EVENTS, "conformance-kit")


class WorkerConformance(ABC):
    """What every worker keeps.

    `plugin` is the module with the plugin's hooks, `name` the worker's. `application` is what the
    worker is run on.
    """

    plugin: ClassVar[Any]
    name: ClassVar[str]
    application: ClassVar[Mapping[str, Any]] = {
        "id": APP,
        "name": "Kit",
        "schema": {
            "task": {"title": {"type": "string", "required": True}, "points": {"type": "int"}},
            "typing": {"transient": True, "fields": {"text": {"type": "string"}}},
        },
    }

    def settings(self) -> Mapping[str, Any]:
        """Return what would be in ``[plugins.<name>]``."""
        return {}

    def unreachable_settings(self) -> Mapping[str, Any] | None:
        """Return settings with which the worker's service is away; None if it needs none."""
        return None

    async def write(self, objects: WorkerObjects) -> None:
        """Write what the worker is to work on: here, a task's life and two more tasks."""
        tasks = [
            await objects.create(APP, "task", {"title": title}, key=new_id())
            for title in ("water the plants", "feed the cat", "é ✓")
        ]
        patch = {"op": "replace", "path": ["title"], "value": ["water them well"]}
        await objects.update(APP, "task", tasks[0]["id"], [patch], key=new_id())
        await objects.delete(APP, "task", tasks[0]["id"], key=new_id())
        await objects.create(APP, "typing", {"text": "…"}, key=new_id())

    @abstractmethod
    async def effects(self) -> Any:
        """Return what the worker has brought about so far, as those whom it is for see it.

        It is compared with `==`. An event may come again: what is recognised as a repetition there,
        such as a second line with the same ``operationId``, is to be left out here.
        """

    # What the tests stand on

    @pytest.fixture
    async def nexxus(self, tmp_path: Path) -> AsyncIterator[Nexxus]:
        """A server that runs the worker."""
        async with self._running(tmp_path) as nexxus:
            yield nexxus

    @asynccontextmanager
    async def _running(self, folder: Path) -> AsyncIterator[Nexxus]:
        document = {
            "server": {"data_dir": str(folder), "workers": [self.name]},
            "logger": {"adapter": "conformance-kit"},
            "plugins": {self.name: self.settings()},
            "applications": [self.application],
        }
        async with Nexxus(
            Config.from_mapping(document, plugins=[self.plugin, _JournalPlugin()])
        ) as nexxus:
            yield nexxus

    async def _work(self, nexxus: Nexxus) -> list[Event]:
        """Write, wait until the worker has nothing left to do, and return its events."""
        await nexxus.broker.declare(_WITNESS)
        await self.write(_objects(nexxus))
        events = await _take_all(nexxus.broker)
        await self._is_done(nexxus)
        return events

    async def _tell(self, nexxus: Nexxus, events: Sequence[Event]) -> None:
        """Let the worker handle these, too."""
        messages = [Message(event.key.partition, event) for event in events]
        await nexxus.broker.redeliver(worker_group(self.name), messages)
        await self._is_done(nexxus)

    async def _is_done(self, nexxus: Nexxus) -> None:
        runner = nexxus.parts.workers[self.name]
        async with asyncio.timeout(PATIENCE):
            while not await runner.is_done():  # noqa: ASYNC110 - a broker does not tell
                await asyncio.sleep(0.02)
        problems = nexxus.logger.messages if isinstance(nexxus.logger, Journal) else []
        assert (runner.figures.failed, problems) == (0, [])
        assert await nexxus.parts.dead_letters.list() == []

    @asynccontextmanager
    async def opened(self, nexxus: Nexxus) -> AsyncIterator[Worker]:
        """Open the worker once more, as another process would: for tests that call `handle`."""
        worker = _create(nexxus.config, self.name, nexxus)
        await worker.open(self._context(nexxus))
        yield worker
        await worker.close()

    def _context(self, nexxus: Nexxus) -> WorkerContext:
        return WorkerContext(
            name=self.name,
            node=new_id(),
            logger=nexxus.logger,
            objects=_objects(nexxus),
            state=StoredState(self.name, nexxus.database),
        )

    # What every worker keeps

    async def test_it_handles_every_kind_of_event(self, nexxus: Nexxus) -> None:
        before = await self.effects()
        events = await self._work(nexxus)
        assert events, "`write` writes nothing"
        assert await self.effects() != before, "`write` is to write what the worker works on"

    async def test_events_that_come_again_change_nothing(self, nexxus: Nexxus) -> None:
        events = await self._work(nexxus)
        before = await self.effects()
        await self._tell(nexxus, events)
        assert await self.effects() == before

    async def test_a_batch_that_is_cut_off_can_be_handled_again(self, nexxus: Nexxus) -> None:
        events = await self._work(nexxus)
        expected = await self.effects()
        async with self.opened(nexxus) as worker:
            handling = asyncio.ensure_future(worker.handle(events))
            await asyncio.sleep(0)
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)
            assert not await worker.handle(events), "all of them could be handled before"
        assert await self.effects() == expected

    async def test_more_events_than_a_batch_takes_are_handled_in_turn(self, nexxus: Nexxus) -> None:
        events = await self._work(nexxus)
        before = await self.effects()
        largest = _create(nexxus.config, self.name, nexxus).batch
        await self._tell(nexxus, events * (largest // len(events) + 2))
        assert await self.effects() == before

    async def test_a_repeated_event_without_patches_is_handled(self, nexxus: Nexxus) -> None:
        events = await self._work(nexxus)
        await self._tell(nexxus, [_repeated(each) for each in events if each.version is not None])

    async def test_it_goes_on_after_a_restart(self, tmp_path: Path) -> None:
        async with self._running(tmp_path) as nexxus:
            await self._work(nexxus)
        before = await self.effects()
        async with self._running(tmp_path) as nexxus:
            await self._is_done(nexxus)
            assert await self.effects() == before
            await self._work(nexxus)

    async def test_while_its_service_is_away_it_cannot_be_opened_for_now(
        self, nexxus: Nexxus
    ) -> None:
        settings = self.unreachable_settings()
        if settings is None:
            pytest.skip("the worker needs no service")
        document = {"server": {"workers": [self.name]}, "plugins": {self.name: settings}}
        config = Config.from_mapping(document, plugins=[self.plugin])
        worker = _create(config, self.name, nexxus)
        with pytest.raises(ServiceUnavailable):
            async with asyncio.timeout(PATIENCE):
                await worker.open(self._context(nexxus))


class _JournalPlugin:
    """Offers a logger that remembers errors."""

    @hookimpl
    def nexxus_loggers(self) -> list[Adapter[Any, Logger]]:
        return [Adapter("conformance-kit", None, lambda *_: Journal(Level.ERROR), interface=1)]


def _create(config: Config, name: str, nexxus: Nexxus) -> Worker:
    worker: Worker = config.catalog.create(
        AdapterKind.WORKER, name, config.plugins.get(name), nexxus.context
    )
    return worker


def _objects(nexxus: Nexxus) -> WorkerObjects:
    actions = nexxus.parts.actions
    return OwnObjects("conformance-kit", reads=actions.reads, writes=actions.writes)


def _repeated(event: Event) -> Event:
    """An event as it comes when a writer died and nobody knows whether it was told of."""
    return Event(
        event=event.event,
        app_id=event.app_id,
        type=event.type,
        id=event.id,
        version=event.version,
        before=None if event.before is None else {"id": event.id, "type": event.type},
        after=event.after,
        user_id=event.user_id,
        operation_id=event.operation_id,
        repeated=True,
    )


async def _take_all(broker: Broker) -> list[Event]:
    """Everything that waits for the witness. All of it was published before the writes returned."""
    consumer = await broker.consume(_WITNESS, prefetch=1000, set_aside=_unexpected)
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        while await broker.depth(_WITNESS):
            batch = await consumer.take(1000)
            await consumer.settle(batch)
            events += [message.payload for message in batch]
    await consumer.close()
    return events


async def _unexpected(undecodable: Undecodable) -> None:
    raise AssertionError(f"{undecodable.key} should be decodable: {undecodable.reason}")
