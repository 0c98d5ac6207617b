"""The gateway: the role that holds devices' connections and pushes events to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import (
    ConnectionReplaced,
    Delivery,
    DeviceWentAway,
    GatewayMessage,
    HandoverAsked,
    Rejection,
    SessionEnded,
    SubscriptionChanged,
)
from nexxus.cluster.peers import Peers
from nexxus.domain.identity import Identity
from nexxus.domain.objects import new_id
from nexxus.errors import DeviceNotConnected, ServiceUnavailable, WireError
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.connections.deadlines import Deadlines
from nexxus.gateway.connections.frame_handler import FrameHandler
from nexxus.gateway.connections.requests import PeerRequest
from nexxus.gateway.delivery.audiences import Audiences
from nexxus.gateway.delivery.delivery_log import DeliveryLog
from nexxus.gateway.delivery.fan_out import FanOut
from nexxus.gateway.delivery.frame_collector import FrameCollector
from nexxus.gateway.devices.absences import Absences
from nexxus.gateway.devices.handover import Handover
from nexxus.gateway.devices.narrowed import NarrowedDevices
from nexxus.gateway.devices.notices import Notices
from nexxus.gateway.devices.place import Place
from nexxus.gateway.devices.presences import Presences
from nexxus.gateway.devices.reconciliation import Reconciliation
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.gateway.devices.resuming import Resuming
from nexxus.gateway.devices.subscribing import Subscribing
from nexxus.gateway.figures import GatewayFigures
from nexxus.gateway.seams import ClientActions
from nexxus.gateway.settings import GatewaySettings
from nexxus.interfaces.broker import Broker
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.interfaces.transport import CloseCode, Framing, TransportLimits, Wire
from nexxus.toolkit.tasks import Tasks

_LAST_WORDS: Final = 0.5
"""Seconds for telling the registry of connections that had to be cut off."""

_ADOPT_AGAIN_AFTER: Final = 1.0
"""Seconds until a registry that was away is asked again for a device's subscriptions."""


class Gateway:
    """Owns the connections of one transport on one node, whose `TransportHost` it is.

    To be created within the event loop that it runs in. Connections come from the transport.
    Messages come from the gateway's mailbox on this node, after `listen`. Devices may be persistent
    if the server `can_push`. `may_listen` is for the transport.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        transport: str,
        peers: Peers,
        broker: Broker,
        registry: Registry,
        actions: ClientActions,
        logger: Logger,
        can_push: bool = False,
        may_listen: bool = True,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.transport = transport
        self.node = peers.here
        self.logger = logger
        self.may_listen = may_listen
        self.limits = TransportLimits(
            frame=settings.frame,
            send_buffer=settings.send_buffer,
            silence=settings.ping_timeout,
        )
        self.figures = GatewayFigures()
        self.deadlines = Deadlines(loop)
        self.collector = FrameCollector(loop, self.figures)
        self._loop = loop
        self._tasks = Tasks(loop, logger)
        self._peers = peers
        self._connections: dict[str, Connection] = {}
        self.is_draining = False
        self._all_gone = asyncio.Event()
        audiences = Audiences(self.collector)
        self._log = log = DeliveryLog(
            peers.here, max_deliveries=settings.log_deliveries, max_bytes=settings.log_bytes
        )
        self._fan_out = FanOut(audiences, self.collector, log.cursors)
        notices = Notices(peers, self._tasks, logger)
        self.residents = residents = Residents(
            Place(transport, peers.here),
            audiences=audiences,
            log=log,
            registry=registry,
            notices=notices,
            owner=self,
        )
        self.reconciliation = Reconciliation(residents, registry)
        self.narrowed = NarrowedDevices(
            residents, self.reconciliation, audiences, self._end_session
        )
        self._handover = Handover(
            settings=settings, peers=peers, registry=registry, residents=residents, logger=logger
        )
        self._absences = Absences(
            settings=settings,
            broker=broker,
            registry=registry,
            notices=notices,
            residents=residents,
            tasks=self._tasks,
            logger=logger,
        )
        self._presences = Presences(
            notices=notices,
            registry=registry,
            residents=residents,
            deadlines=self.deadlines,
            absences=self._absences,
            actions=actions,
            logger=logger,
        )
        self._resuming = Resuming(
            settings=settings,
            registry=registry,
            handover=self._handover,
            residents=residents,
            figures=self.figures,
            logger=logger,
        )
        self._frame_handler = FrameHandler(
            actions=actions,
            presences=self._presences,
            resuming=self._resuming,
            subscribing=Subscribing(
                actions=actions, residents=residents, registry=registry, can_push=can_push
            ),
            max_depth=settings.depth,
            logger=logger,
        )

    # Called by the node's other parts

    def listen(self, inbox: Inbox[GatewayMessage]) -> None:
        """Handle the inbox's messages to a gateway."""
        inbox.on(Delivery, self.deliver)
        inbox.on(Rejection, self._reject)
        inbox.on(SessionEnded, self._end_session)
        inbox.on(ConnectionReplaced, self._close_replaced)
        inbox.on(SubscriptionChanged, self._adopt_later)
        inbox.on(HandoverAsked, self._hand_over)
        inbox.on(DeviceWentAway, self._absences.pass_on)
        inbox.on_loss(self.catch_up)

    def deliver(self, delivery: Delivery) -> None:
        """Push an event to the devices of this node that follow it."""
        self.figures.deliveries += 1
        seq = self._log.append(delivery, self._loop.time())
        if delivery.is_late:
            self._fan_out.deliver_late(delivery, seq)
        else:
            self._fan_out.deliver(delivery, seq)
            if delivery.accepted_at:
                since = time.time() - delivery.accepted_at / 1000
                self.figures.write_to_push_seconds.observe(max(since, 0.0))

    def catch_up(self) -> None:
        """Have every device read its channels again: messages to this node were lost."""
        self.reconciliation.resync_everybody()
        self._tasks.start(self.reconciliation.adopt_what_was_missed())

    async def drain(self) -> None:
        """Accept no more connections, finish what was received, and close everything with 1001.

        Waits at most `drain_timeout` for the clients' operations, `close_timeout` for their
        sockets, and a moment for the registry; then the rest is aborted. If there are other nodes,
        it also waits, for at most `handover_timeout`, until they have taken over the devices.
        """
        self.is_draining = True
        self._presences.stop()
        await self._tasks.join(self.settings.drain_timeout)
        for connection in list(self._connections.values()):
            connection.close(CloseCode.GOING_AWAY, "going away")
        until = self._loop.time() + self.settings.close_timeout
        if self._connections:
            try:
                async with asyncio.timeout_at(until):
                    await self._all_gone.wait()
            except TimeoutError:
                for connection in list(self._connections.values()):
                    connection.wire.abort()
                    connection.lost()
        if not await self._tasks.join(max(_LAST_WORDS, until - self._loop.time())):
            await self._tasks.cancel()
        await self._handover.linger()
        await self._tasks.join(_LAST_WORDS)
        self.deadlines.close()

    # Called by the transport

    @property
    def is_accepting(self) -> bool:
        """See `TransportHost.is_accepting`."""
        return not self.is_draining and len(self._connections) < self.settings.max_connections

    def accept(
        self, wire: Wire, framing: Framing, *, resume_window: float | None = None
    ) -> Connection:
        """See `TransportHost.accept`."""
        connection = Connection(
            id=new_id(),
            wire=wire,
            framing=framing,
            owner=self,
            now=self._loop.time(),
            resume_window=self.bound_window(resume_window),
        )
        self._connections[connection.id] = connection
        self.figures.connections += 1
        self._all_gone.clear()
        return connection

    def is_replaced(self, identity: Identity, cursor: str) -> bool:
        """See `TransportHost.is_replaced`."""
        if identity.device_id is None:
            return False
        device = self.residents.find(identity.app_id, identity.device_id)
        seq = self._log.cursors.read(cursor)
        if device is None or device.connection is None or seq is None:
            return False
        return seq <= device.replaced

    # Called by the connections

    def bound_window(self, seconds: float | None) -> float:
        """Return the resume window for a connection that asks for `seconds`."""
        settings = self.settings
        if seconds is None:
            seconds = settings.resume_window
        else:
            seconds = min(max(seconds, 0.0), settings.resume_window_max)
        if seconds:
            # The loss of a peer is noticed late. Its window begins then, but it missed events
            # before.
            self._log.keep(seconds + settings.ping_timeout + settings.resume_grace)
        return seconds

    async def handle(
        self, connection: Connection, message: PeerRequest, pass_on: Callable[[], None]
    ) -> None:
        """Handle one message of a connection; `pass_on` lets the next one start earlier."""
        await self._frame_handler.handle(connection, message, pass_on)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in a task that `drain` waits for."""
        return self._tasks.start(work)

    def released(self, connection: Connection) -> None:
        """Handle that a connection is closing or lost."""
        device = self._presences.part(connection)
        if device is not None:
            self._tasks.start(self._presences.release(device, connection))

    def gone(self, connection: Connection) -> None:
        """Handle that a connection's socket is closed."""
        if self._connections.pop(connection.id, None) is not None:
            self.figures.connections -= 1
        if not self._connections:
            self._all_gone.set()

    def gave_up_resuming(self, connection: Connection) -> None:
        """Handle that no frame has followed ``register`` in time."""
        if connection.awaits_first_frame:
            connection.awaits_first_frame = False
            self._tasks.start(self._resuming.start_anew(connection))

    def silence_is_over(self, device: Resident) -> None:
        """Handle that a silent device did not come back in time."""
        if not self.is_draining:
            self._tasks.start(self._presences.end_silence(device))

    # Called for messages of other nodes

    def _reject(self, rejection: Rejection) -> None:
        device = self.residents.find(rejection.app_id, rejection.device_id)
        if device is None or device.connection is None:
            return
        device.connection.send_error(
            "OPERATION_REJECTED",
            rejection.error.message,
            operationId=rejection.operation_id,
            error=rejection.error,
        )

    def _end_session(self, ended: SessionEnded) -> None:
        self._tasks.start(
            self._presences.end_session(ended.app_id, ended.device_id, ended.session_id)
        )

    def _close_replaced(self, replaced: ConnectionReplaced) -> None:
        connection = self._connections.get(replaced.connection_id)
        if connection is not None:
            connection.close(CloseCode.REPLACED, "replaced")

    def _hand_over(self, asked: HandoverAsked) -> None:
        self._tasks.start(self._handover.hand_over(asked))

    def _adopt_later(self, changed: SubscriptionChanged) -> None:
        self._tasks.start(self._adopt_for_another_node(changed))

    async def _adopt_for_another_node(self, changed: SubscriptionChanged) -> None:
        error: WireError | None = None
        try:
            await self._adopt_at_last(changed)
        except (DeviceNotConnected, ServiceUnavailable) as reason:
            error = reason
        try:
            await self._peers.acknowledge(changed.reply_to, error)
        except ServiceUnavailable as unheard:
            self.logger.warning("a subscriber's node was not answered", reason=str(unheard))

    async def _adopt_at_last(self, changed: SubscriptionChanged) -> None:
        """Adopt what has changed; retry while the registry cannot be reached.

        A waiting caller retries on its own.
        """
        while True:
            try:
                await self.reconciliation.adopt(
                    changed.app_id, changed.device_id, changed.channel_id
                )
            except ServiceUnavailable:
                if changed.reply_to is not None:
                    raise
                await asyncio.sleep(_ADOPT_AGAIN_AFTER)
            else:
                return
