"""One node's gateway behind a real uvicorn, with actions that are faked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import websockets
from deliveries import verdicts
from waiting import eventually
from websockets.asyncio.client import ClientConnection

from nexxus.adapters.websockets.transport import WebSocketTransport
from nexxus.api.mounts import MountServer
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.messages import (
    Acknowledged,
    Delivery,
    GatewayMessage,
    gateway_mailbox,
    node_mailbox,
)
from nexxus.cluster.peers import Peers
from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.domain.identity import Identity
from nexxus.errors import SessionHasEnded, UserAuthenticationFailed
from nexxus.gateway import Gateway, GatewaySettings, TokenClaims
from nexxus.interfaces.registry import Node
from nexxus.interfaces.transport import Transport
from nexxus.objects.subscriptions import Opening
from nexxus.testing.journal import Journal
from nexxus.testing.transport_port import mounts_app, serving
from nexxus.testing.transport_tokens import KitActions, KitAuthentication

APP = "tasks"
TRANSPORT = "websockets"
PATIENCE = 10.0


class FakeActions(KitActions):
    """Tokens are ``<device>`` or ``<device>.<session>.<user>.<UNIX second of expiry>``."""

    def __init__(self) -> None:
        super().__init__()
        self.on_perform: Callable[..., Any] | None = None
        self.overlapping: tuple[str, ...] = ("create", "update", "delete")
        self.on_verify: Callable[..., Any] | None = None
        self._asked: Any = None

    async def verify_token(self, token: str) -> TokenClaims:
        if self.on_verify is not None:
            await self.on_verify(token)
        device, session, user, expires = (*token.split("."), "", "", "")[:4]
        if not device:
            raise UserAuthenticationFailed("that is not a token")
        session = session or f"session of {device}"
        if session in self.ended:
            raise SessionHasEnded("the session has ended")
        return TokenClaims(
            app_id=APP,
            device_id=device,
            session_id=session,
            expires_at=float(expires or 0) or time.time() + 3600,
            user_id=user or None,
            caller=device,
        )

    async def verify_identity(self, identity: Identity) -> TokenClaims:
        return await self.verify_token(f"{identity.device_id}.{identity.session_id}")

    async def verify_again(self, claims: TokenClaims) -> TokenClaims:
        if self.on_verify is not None:
            await self.on_verify(claims.device_id)
        if claims.session_id in self.ended:
            raise SessionHasEnded("the session has ended")
        return claims

    async def write(
        self, caller: Any, event: str, data: Any, on_publish: Callable[[], None]
    ) -> tuple[int, dict[str, Any]]:
        self.performed.append((event, data))
        if event in self.overlapping:
            on_publish()
        if self.on_perform is not None:
            return await self.on_perform(caller, event, data)  # type: ignore[no-any-return]
        return 202, {"caller": caller}

    def open(self, caller: Any, data: Any) -> Opening:
        """The name of a model is its channel, too; with ``getOnly`` it is only read."""
        self.performed.append(("subscribe", data))
        self._asked = data
        return Opening(None if "getOnly" in data else subscription_to(caller, data["model"]), None)

    async def first_page(self, opening: Opening, served: Subscription | None) -> dict[str, Any]:
        if self.on_perform is not None:
            await self.on_perform("", "subscribe", self._asked)
        return {"items": []} if served is None else {"channelId": served.channel_id, "items": []}


def token_until(device: str, expires_at: float) -> str:
    """A token that expires at a whole UNIX second."""
    return f"{device}.session of {device}..{int(expires_at)}"


class Client:
    """A device's connection, frame by frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.cursor: str | None = None

    async def send(self, event: str, data: Any, **more: Any) -> None:
        frame = {"event": event, "data": data, **more}
        if self.socket.subprotocol == "nexxus.v1.msgpack":
            await self.socket.send(msgspec.msgpack.encode(frame))
        else:
            await self.socket.send(json.dumps(frame))

    async def next(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.recv()
        frame = json.loads(message) if isinstance(message, str) else msgspec.msgpack.decode(message)
        data = frame["data"]
        self.cursor = data.get("metadata", data).get("cursor", self.cursor)
        return frame

    async def expect(self, event: str) -> Any:
        frame = await self.next()
        assert frame["event"] == event, frame
        return frame["data"]

    async def expect_error(self, code: str) -> Any:
        data = await self.expect("error")
        assert data["code"] == code, data
        assert data["message"]
        return data

    async def register(self, token: str) -> Any:
        await self.send("register", {"token": token})
        data = await self.expect("register")
        assert data["success"] is True
        return data

    async def closed(self) -> int | None:
        """The close code that comes, whatever comes before it."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self.socket.recv()
            except websockets.ConnectionClosed:
                return self.socket.close_code

    async def is_quiet(self) -> bool:
        """Whether nothing was sent to it up to now: a reply is the next frame that comes."""
        await self.send("create", {}, ref="is anything before this?")
        return (await self.next())["event"] == "reply"


class World:
    """One node."""

    def __init__(self, node: str, settings: GatewaySettings, broker: Any, registry: Any) -> None:
        self.node = node
        self.journal = Journal()
        self.broker = broker
        self.registry = registry
        self.actions = FakeActions()
        peers = Peers(broker, here=node)
        self.gateway = Gateway(
            settings,
            transport=TRANSPORT,
            peers=peers,
            broker=broker,
            registry=registry,
            actions=self.actions,
            logger=self.journal,
        )
        self.mailbox = gateway_mailbox(TRANSPORT, node)
        self.inbox = Inbox(broker, self.mailbox, logger=self.journal)
        self.gateway.listen(self.inbox)
        self.node_inbox = Inbox(broker, node_mailbox(node), logger=self.journal)
        self.node_inbox.on(Acknowledged, peers.settle)
        self.url = ""
        self.address: tuple[str, int] = ("", 0)
        self._stack = AsyncExitStack()

    async def connect(self, token: str | None = None, **options: Any) -> Client:
        options = {
            "max_size": None,
            "max_queue": None,
            "compression": None,
            "ping_interval": None,
            **options,
        }
        socket = await self._stack.enter_async_context(
            websockets.connect(options.pop("url", self.url), **options)
        )
        client = Client(socket)
        if token is not None:
            await client.register(token)
        return client

    async def subscribe(self, device: str, channel: str, key: str = "", **more: Any) -> None:
        """What a subscribe over HTTP does: the registry first, then this node's gateway."""
        subscription = subscription_to(device, channel, key, **more)
        await self.registry.subscriptions.put(subscription, TRANSPORT, self.node)
        await self.gateway.reconciliation.adopt(APP, device, channel)

    async def tell(self, message: GatewayMessage) -> None:
        await self.broker.send(self.mailbox, [message])

    async def announce(self) -> None:
        """Let the other nodes know that this one is alive."""
        await self.registry.nodes.announce(Node(self.node, ("gateway",), (TRANSPORT,)), 60.0)

    async def channels_of(self, device: str) -> list[str]:
        return [s.channel_id for s in await self.registry.subscriptions.of_device(APP, device)]

    async def servers_of(self, device: str) -> dict[str, str]:
        placements = await self.registry.subscriptions.placements(APP, device)
        return {
            placed.subscription.channel_id: placed.served_by[1]
            for placed in placements
            if placed.served_by is not None
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[World]:
        transport = WebSocketTransport()
        await transport.start(self.gateway)
        app = self.app(transport, is_gateways=True)
        inboxes = (self.inbox, self.node_inbox)
        for inbox in inboxes:
            await inbox.open()
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(inbox.run()) for inbox in inboxes]
            async with serving(app) as port:
                self.address = ("127.0.0.1", port)
                self.url = f"ws://127.0.0.1:{port}/"
                try:
                    yield self
                finally:
                    await self.gateway.drain()
                    await self._stack.aclose()
            for task in reading:
                task.cancel()

    def app(self, transport: Transport, *, is_gateways: bool = False) -> MountServer:
        """An ASGI application with what a transport of this node mounts."""
        authentication = KitAuthentication(KitActions())
        return mounts_app(transport, self.gateway, authentication, is_gateways=is_gateways)


async def drop(world: World, client: Client) -> None:
    """Lose the connection without a word."""
    connections = world.gateway.figures.connections
    client.socket.transport.abort()
    await eventually(lambda: world.gateway.figures.connections < connections)


async def delivered(world: World, *events: Any) -> None:
    """The node has taken these from its queue."""
    target = world.gateway.figures.deliveries + len(events)
    for one in events:
        await world.tell(one)
    await eventually(lambda: world.gateway.figures.deliveries == target)


def subscription_to(device: str, channel: str, key: str = "", **more: Any) -> Subscription:
    descriptor = Descriptor("task")
    route = Route(key or channel, APP, descriptor)
    return Subscription(APP, device, channel, descriptor, route, **more)


def event(number: int, **keys: list[str]) -> Delivery:
    """Version `number` of the object ``t1``."""
    whole = {"id": "t1", "type": "task", "appId": APP, "version": number, "points": number}
    patch = {"op": "replace", "path": ["points"], "value": [number]}
    return Delivery(
        APP,
        "task",
        "t1",
        number,
        object=whole if "created" in keys else None,
        patches=[patch] if "updated" in keys else [],
        verdicts=verdicts(**keys),
    )


async def dropped(world: World, *channels: str, version: int = 1) -> str:
    """A device d1 that saw `version`, then lost its connection; the cursor that it has."""
    client = await world.connect("d1")
    for channel in channels:
        await world.subscribe("d1", channel)
    await world.tell(event(version, created=[channels[0]]))
    await client.expect("model_created")
    await drop(world, client)
    assert client.cursor is not None
    return client.cursor
