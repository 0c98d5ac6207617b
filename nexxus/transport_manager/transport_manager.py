"""The transport manager role: sends each event once to every node with subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import msgspec

from nexxus.applications.applications import Applications
from nexxus.cluster.away_events import AwayEvent, publish_away
from nexxus.cluster.consuming import Failure, consume
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.cluster.messages import Delivery, gateway_mailbox
from nexxus.domain.application import Application
from nexxus.domain.events import Event
from nexxus.domain.schema import ModelType
from nexxus.domain.verdicts import Verdict
from nexxus.errors import ApplicationNotFound, ModelNotFound, ServiceUnavailable
from nexxus.interfaces.broker import TRANSPORT_MANAGER, Broker, Consumer, Received
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.observability.figures import counter
from nexxus.transport_manager.routing_table import AWAY, RoutingTable, Target

OnSettled = Callable[[str, Iterable[Event]], None]
"""Called with the group's name and the events that it has finished."""


class RoutingFigures(msgspec.Struct):
    """The figures of routing."""

    events: Annotated[int, counter("Events that were matched against the subscriptions.")] = 0
    deliveries: Annotated[
        int, counter("Messages to nodes: one for each event, node and transport.")
    ] = 0


class TransportManager:
    """Routes events to nodes and, if the server `can_push`, to the part that pushes.

    Before a batch is matched, the routes of its models are compared with the registry's by version,
    so that every subscription made before an event was written is seen. After the batch is
    published they are compared again. If a subscription has moved to another node meanwhile, the
    event is sent there too: the new node asks the former one for its events, but would miss those
    that the former node receives after that.
    """

    def __init__(
        self,
        *,
        applications: Applications,
        broker: Broker,
        registry: Registry,
        dead_letters: DeadLetters,
        logger: Logger,
        batch: int,
        can_push: bool = False,
        on_settled: OnSettled | None = None,
    ) -> None:
        self.figures = RoutingFigures()
        self._applications = applications
        self._broker = broker
        self._registry = registry
        self._dead_letters = dead_letters
        self._logger = logger
        self._batch = batch
        self._can_push = can_push
        self._on_settled = on_settled
        self._tables: dict[tuple[str, str], RoutingTable] = {}
        applications.on_change(self._forget)

    async def run(self) -> None:
        """Consume until cancelled; a batch that was begun is finished first."""
        await consume(
            self._broker,
            TRANSPORT_MANAGER,
            self._process,
            batch=self._batch,
            dead_letters=self._dead_letters,
            logger=self._logger,
        )

    async def _process(
        self, consumer: Consumer[Event], batch: Sequence[Received[Event]]
    ) -> Sequence[Failure[Event]]:
        try:
            await self._route([message.payload for message in batch])
        except ServiceUnavailable as error:
            self._logger.warning("a batch of events was not routed", reason=error.message)
            await consumer.retry(batch, 1.0, failed=False)
        else:
            await consumer.settle(batch)
            if self._on_settled is not None:
                self._on_settled(TRANSPORT_MANAGER.name, [each.payload for each in batch])
        return ()

    async def _route(self, events: Sequence[Event]) -> None:
        self.figures.events += len(events)
        told: list[set[tuple[Target, str]]] = [set() for _ in events]
        tables = await self._fresh_tables(events)
        while await self._tell(events, tables, told):
            versions = {name: table.version for name, table in tables.items()}
            former, tables = tables, await self._fresh_tables(events)
            if tables == former and all(
                table.version == versions[name] for name, table in tables.items()
            ):
                return

    async def _tell(
        self,
        events: Sequence[Event],
        tables: dict[tuple[str, str], RoutingTable],
        told: list[set[tuple[Target, str]]],
    ) -> bool:
        """Send the nodes what they have not been sent yet. Returns whether there was anything."""
        outgoing: dict[Target, list[Delivery]] = {}
        away: list[AwayEvent] = []
        for event, its_told in zip(events, told, strict=True):
            table = tables.get((event.app_id, event.type))
            if table is None:
                continue
            for target, delivery in table.deliveries(event, its_told):
                if target == AWAY:
                    away.append(_for_away_devices(event, delivery))
                else:
                    outgoing.setdefault(target, []).append(delivery)
        self.figures.deliveries += sum(map(len, outgoing.values()))
        sends = [
            self._broker.send(gateway_mailbox(transport, node), deliveries)
            for (transport, node), deliveries in outgoing.items()
        ]
        if away:
            sends.append(publish_away(self._broker, away))
        if len(sends) == 1:
            await sends[0]  # in one process it always is one: no task for it
            return True
        # Side by side: a broker confirms each one, and one node is not to wait for another.
        results = await asyncio.gather(*sends, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return bool(sends)

    async def _fresh_tables(self, events: Sequence[Event]) -> dict[tuple[str, str], RoutingTable]:
        """Return the tables of the events' models, up to date with the registry."""
        tables: dict[tuple[str, str], RoutingTable] = {}
        for name in dict.fromkeys((event.app_id, event.type) for event in events):
            table = await self._fresh_table(*name)
            if table is not None:
                tables[name] = table
        return tables

    async def _fresh_table(self, app_id: str, model_name: str) -> RoutingTable | None:
        """Return the model's table, up to date with the registry; None if the model is gone."""
        model = self._find_model(app_id, model_name)
        if model is None:
            # An event may be faster than the news of its application.
            await self._applications.take_over(app_id)
            model = self._find_model(app_id, model_name)
        if model is None:
            return None
        table = self._tables.get((app_id, model_name))
        if table is None or table.model is not model:
            table = self._tables[app_id, model_name] = RoutingTable(
                app_id, model, can_push=self._can_push, logger=self._logger
            )
        await table.refresh(self._registry)
        return table

    def _find_model(self, app_id: str, model_name: str) -> ModelType | None:
        try:
            return self._applications.get(app_id).model(model_name)
        except (ApplicationNotFound, ModelNotFound):
            return None

    async def _forget(self, former: Application | None, present: Application | None) -> None:
        """Drop the tables of a changed application, because its schema may have changed."""
        changed = former or present
        assert changed is not None
        for name in [name for name in self._tables if name[0] == changed.id]:
            del self._tables[name]


def _for_away_devices(event: Event, delivery: Delivery) -> AwayEvent:
    verdicts = delivery.verdicts.values()
    is_there = Verdict.CREATED in verdicts or Verdict.UPDATED in verdicts
    is_gone = Verdict.LEFT in verdicts or Verdict.DELETED in verdicts
    return AwayEvent(
        msgspec.structs.replace(delivery, object=None, patches=[]),
        before=event.before if is_gone else None,
        after=event.after if is_there else None,
    )
