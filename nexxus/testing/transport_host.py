"""A node for a transport's tests: a real gateway, with actions that do what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.api.metrics import HttpMetrics
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import Delivery, SessionEnded, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.verdicts import Verdict
from nexxus.gateway import Gateway, GatewaySettings
from nexxus.interfaces.transport import Transport
from nexxus.testing.journal import Journal
from nexxus.testing.transport_port import Server, mounts_app, serving
from nexxus.testing.transport_tokens import (
    APP,
    KitActions,
    KitAuthentication,
    session_of,
    subscription_to,
)

NODE: Final = "kit-node"


class KitHost:
    """One node with the transport under test. `journal` has what was logged as a warning or worse.

    Nothing in it is faked but the actions, which need no database. `port` is where the transport's
    mounts are served, 0 if it has none; `metrics` are the figures of the requests there.
    """

    def __init__(
        self, settings: GatewaySettings, broker: InProcessBroker, registry: InProcessRegistry
    ) -> None:
        self.actions = KitActions()
        self.authentication = KitAuthentication(self.actions)
        self.metrics = HttpMetrics()
        self.port = 0
        self.journal = Journal()
        self.registry = registry
        self.gateway = Gateway(
            settings,
            transport="kit",
            peers=Peers(broker, here=NODE),
            broker=broker,
            registry=registry,
            actions=self.actions,
            logger=self.journal,
        )
        self.inbox = Inbox(broker, gateway_mailbox("kit", NODE), logger=self.journal)
        self.gateway.listen(self.inbox)

    async def subscribe(self, device: str, *channels: str) -> None:
        """Put a device that is connected into channels, as a subscription over HTTP would."""
        for channel in channels:
            await self.registry.subscriptions.put(subscription_to(device, channel), "kit", NODE)
            await self.gateway.reconciliation.adopt(APP, device, channel)

    def push(self, version: int, *channels: str, text: str = "") -> None:
        """Deliver an event to channels: the object ``t1`` is created in its `version`."""
        whole = {"id": "t1", "type": "task", "appId": APP, "version": version, "text": text}
        verdicts = dict.fromkeys(channels, Verdict.CREATED)
        self.gateway.deliver(Delivery(APP, "task", "t1", version, object=whole, verdicts=verdicts))

    def end_session(self, device: str) -> None:
        """End a device's session, as a logout would."""
        self.actions.ended.add(device)
        self.inbox._dispatch(SessionEnded(APP, device, session_of(device)))

    @asynccontextmanager
    async def serving(self, transport: Transport, server: Server) -> AsyncIterator[None]:
        """Serve at `port` what the transport mounts, and drain before that ends."""
        if not transport.mounts:
            yield
            return
        app = mounts_app(transport, self.gateway, self.authentication, metrics=self.metrics)
        async with serving(app, server=server) as self.port:
            try:
                yield
            finally:
                await self.gateway.drain()

    async def is_present(self, device: str) -> bool:
        """Whether the registry says that the device is connected over this transport."""
        presence = await self.registry.presence.get(APP, device)
        return presence is not None and (presence.transport, presence.node) == ("kit", NODE)

    async def channels_of(self, device: str) -> list[str]:
        """The device's subscriptions, as the registry has them."""
        held = await self.registry.subscriptions.of_device(APP, device)
        return [subscription.channel_id for subscription in held]

    @property
    def connections(self) -> int:
        """How many connections the node holds."""
        return self.gateway.figures.connections


@asynccontextmanager
async def kit_host(data_dir: Path, **settings: Any) -> AsyncIterator[KitHost]:
    """A node with these of `GatewaySettings`; drained and closed afterwards."""
    broker = InProcessBroker(InProcessBrokerSettings())
    registry = InProcessRegistry(InProcessRegistrySettings(), data_dir=data_dir, logger=Journal())
    await broker.open()
    await registry.open()
    host = KitHost(GatewaySettings(**settings), broker, registry)
    try:
        yield host
    finally:
        await host.gateway.drain()
        await registry.close()
        await broker.close()
