"""A node for a transport's tests: a real gateway, with actions that do what the test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from nexxus.adapters.in_process.broker import InProcessBroker
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessBrokerSettings, InProcessRegistrySettings
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import Delivery, SessionEnded, gateway_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.errors import UserAuthenticationFailed, VersionConflict
from nexxus.gateway import Gateway, GatewaySettings, TokenClaims
from nexxus.testing.journal import Journal

APP: Final = "kit"
NODE: Final = "kit-node"


class KitActions:
    """Tokens are ``<device>``, or ``<device>@<UNIX seconds of expiry>``; one with a space is bad.

    An operation is answered with 202 and its own data, one whose data has ``fails`` with a 409.
    `held` is what operations wait for.
    """

    def __init__(self) -> None:
        self.performed: list[tuple[str, dict[str, Any]]] = []
        self.held = asyncio.Event()
        self.held.set()

    async def verify_token(
        self,
        token: str,
        *,
        again: bool = False,  # noqa: ARG002 - nothing is counted here
    ) -> TokenClaims:
        if not token or " " in token:
            raise UserAuthenticationFailed("that is not a token")
        device, _, expires = token.partition("@")
        until = float(expires) if expires else time.time() + 3600
        return TokenClaims(APP, device, f"session of {device}", until, caller=device)

    async def perform(
        self, caller: Any, event: str, data: dict[str, Any], on_publish: Callable[[], None]
    ) -> tuple[int, dict[str, Any] | None]:
        self.performed.append((event, data))
        if event in ("create", "update", "delete"):
            on_publish()
        await self.held.wait()
        if "fails" in data:
            raise VersionConflict("somebody was faster", {"version": 3})
        return 202, {**data, "device": caller}


class KitHost:
    """One node with the transport under test. `journal` has what was logged as a warning or worse.

    Nothing in it is faked but the actions, which need no database.
    """

    def __init__(
        self, settings: GatewaySettings, broker: InProcessBroker, registry: InProcessRegistry
    ) -> None:
        self.actions = KitActions()
        self.journal = Journal()
        self.registry = registry
        self.gateway = Gateway(
            settings,
            transport="kit",
            peers=Peers(broker, here=NODE),
            registry=registry,
            actions=self.actions,
            logger=self.journal,
        )
        self.inbox = Inbox(broker, gateway_mailbox("kit", NODE), logger=self.journal)
        self.gateway.listen(self.inbox)

    async def subscribe(self, device: str, *channels: str) -> None:
        """Put a device that is connected into channels, as a subscription over HTTP would."""
        for channel in channels:
            descriptor = Descriptor("task")
            route = Route(channel, APP, descriptor)
            subscription = Subscription(APP, device, channel, descriptor, route)
            await self.registry.subscriptions.put(subscription, "kit", NODE)
            await self.gateway.adopt(APP, device, channel)

    def push(self, version: int, *channels: str, text: str = "") -> None:
        """Deliver an event to channels: the object ``t1`` is created in its `version`."""
        whole = {"id": "t1", "type": "task", "appId": APP, "version": version, "text": text}
        self.gateway.deliver(
            Delivery(APP, "task", "t1", version, object=whole, created=list(channels))
        )

    def end_session(self, device: str) -> None:
        """End a device's session, as a logout would."""
        self.inbox._dispatch(SessionEnded(APP, device, f"session of {device}"))

    async def is_present(self, device: str) -> bool:
        """Whether the registry says that the device is connected over this transport."""
        presence = await self.registry.presence.get(APP, device)
        return presence is not None and (presence.transport, presence.node) == ("kit", NODE)

    @property
    def connections(self) -> int:
        """How many connections the node holds."""
        return self.gateway.counters.connections


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
