"""Everything that reading, writing and following objects is made of, on one node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from memory_broker import MemoryBroker
from memory_database import MemoryDatabase

from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.api.device_subscriptions import DeviceSubscriptions
from nexxus.applications.applications import Applications
from nexxus.cluster.messages import Acknowledged
from nexxus.cluster.peers import Peers
from nexxus.domain.application import Application
from nexxus.domain.identity import Identity
from nexxus.domain.objects import LARGEST_OBJECT, Document, ObjectKey
from nexxus.errors import DeviceNotConnected
from nexxus.interfaces.database import Mutation, Record
from nexxus.interfaces.registry import Presence
from nexxus.objects.queries import FilterLimits
from nexxus.objects.reads import Reads
from nexxus.objects.requests import Requests
from nexxus.objects.subscriptions import Subscriptions
from nexxus.objects.writes import Writes
from nexxus.testing.journal import Journal

APP, NODE, TRANSPORT = "app", "here", "websockets"
TEXT = {"type": "string", "filterable": True}
DOCUMENT: dict[str, Any] = {
    "id": APP,
    "defaultLimit": 2,
    "maxLimit": 5,
    "schema": {
        "task": {
            "title": {**TEXT, "acl": True},
            "points": {"type": "int", "filterable": True},
            "tags": {"type": "array", "arrayType": "string", "filterable": True},
            "notes": {"type": "string"},
        },
        "typing": {"fields": {"text": {"type": "string"}}, "transient": True},
        "log": {"fields": {"line": {"type": "string"}}, "subscribable": False},
    },
}
WITH_USERS: dict[str, Any] = {
    **DOCUMENT,
    "auth": {"acl": True, "userTypes": {"member": {"roles": ["member"]}, "reader": {"roles": []}}},
    "roles": {
        "member": {
            "statements": [
                {
                    "effect": "Allow",
                    "action": ["*"],
                    "resource": ["task"],
                    "condition": {"StringEquals": {"userId": ["$nxx:userId"]}},
                }
            ]
        }
    },
}
"""Members may do everything with what is theirs, readers nothing."""

NOBODY = Identity(APP)
ANN = Identity(APP, device_id="phone", user_id="ann", user_type="member")
BEN = Identity(APP, device_id="tablet", user_id="ben", user_type="member")
READER = Identity(APP, device_id="kiosk", user_id="rae", user_type="reader")
DEVICE = Identity(APP, device_id="phone")


class KeptHost:
    """Stands in for this node's gateway: keeps what it was told to adopt."""

    def __init__(self) -> None:
        self.adopted: list[tuple[str, str | None]] = []
        self.is_left = False

    async def adopt(self, app_id: str, device_id: str, channel_id: str | None = None) -> None:
        if self.is_left:
            raise DeviceNotConnected("the device has no connection here")
        self.adopted.append((device_id, channel_id))


class ObjectsWorld:
    """One node with one application, on doubles in memory and the registry of a process."""

    def __init__(self, folder: Path) -> None:
        self.database = MemoryDatabase()
        self.broker = MemoryBroker()
        self.registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=folder, logger=Journal()
        )
        self.peers = Peers(self.broker, here=NODE)
        self.applications = Applications(
            database=self.database, peers=self.peers, registry=self.registry, strategies={}
        )
        self.host = KeptHost()
        limits = FilterLimits(conditions=10, depth=5)
        self.reads = Reads(
            applications=self.applications,
            database=self.database,
            filter_limits=limits,
        )
        self.writes = Writes(
            applications=self.applications,
            database=self.database,
            broker=self.broker,
            registry=self.registry,
            node=NODE,
            largest_object=LARGEST_OBJECT,
        )
        self.subscriptions = Subscriptions(
            applications=self.applications,
            reads=self.reads,
            max_per_device=3,
            filter_limits=limits,
        )
        self.device_subscriptions = DeviceSubscriptions(
            subscriptions=self.subscriptions,
            registry=self.registry,
            peers=self.peers,
            hosts={TRANSPORT: self.host},
            can_push=False,
        )
        self.requests = Requests(reads=self.reads, writes=self.writes)

    async def open(self) -> None:
        await self.registry.open()
        await self.applications.load()

    async def close(self) -> None:
        await self.registry.close()

    async def application(self, document: dict[str, Any] = DOCUMENT, **more: Any) -> Application:
        """Create the application, with more or other top-level keys."""
        return await self.applications.create({**document, **more})

    async def store(self, *documents: Document, type: str = "task") -> None:
        """Store objects as the writer would; of each at least its id is given."""
        for document in documents:
            whole = {
                "type": type,
                "appId": APP,
                "createdAt": 1,
                "updatedAt": 1,
                "version": 1,
                **document,
            }
            key = ObjectKey(APP, type, whole["id"])
            mutation = Mutation(key, self.database.records.get(key), Record(whole, 1))
            assert await self.database.commit([mutation]) == [True]

    async def delete(self, id: str, type: str = "task") -> None:
        """Leave a tombstone of an object."""
        key = ObjectKey(APP, type, id)
        former = self.database.records[key]
        identity = {"id": id, "type": type, "appId": APP}
        gone = Record(identity, former.version + 1, deleted_at=1)
        assert await self.database.commit([Mutation(key, former, gone)]) == [True]

    async def connect(self, identity: Identity, *, node: str = NODE) -> None:
        """Give the identity's device a connection."""
        presence = Presence(identity.app_id, identity.device(), node, TRANSPORT, "connection")
        await self.registry.presence.connect(presence)

    def answer_asked(self, error: Any = None) -> None:
        """Have other nodes acknowledge what they are asked, or refuse it with an error."""

        async def acknowledge(message: Any) -> None:
            if getattr(message, "reply_to", None) is not None:
                self.peers.settle(Acknowledged(message.reply_to.id, error))

        self.broker.sending = acknowledge


def ids(items: Sequence[Document]) -> list[str]:
    """The ids of objects."""
    return [item["id"] for item in items]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ObjectsWorld]:
    """A node whose registry is open."""
    world = ObjectsWorld(tmp_path)
    await world.open()
    yield world
    await world.close()
