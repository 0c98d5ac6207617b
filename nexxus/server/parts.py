"""Parts: what a process is made of, put together by `nexxus.server.composition`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexxus.accounts.accounts import Accounts
from nexxus.api.metrics import HttpMetrics
from nexxus.applications.applications import Applications
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.cluster.inbox import Inbox
from nexxus.cluster.membership import Membership
from nexxus.cluster.messages import GatewayMessage, NodeMessage
from nexxus.cluster.peers import Peers
from nexxus.interfaces.broker import Broker, Group
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.objects.reads import Reads
from nexxus.objects.requests import Requests
from nexxus.objects.subscriptions import Subscriptions
from nexxus.objects.writes import Writes
from nexxus.push import Expansion, Sender
from nexxus.server.metrics import Metrics
from nexxus.server.transports import Transports
from nexxus.toolkit.rate_limit import RateLimit
from nexxus.transport_manager import TransportManager
from nexxus.workers.runner import WorkerRunner
from nexxus.workers.state import StoredState
from nexxus.writer import TombstoneSweeper, Writer
from nexxus.writer.outbox import Outbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """What connects the process with the world, by the interfaces."""

    logger: Logger
    database: Database
    broker: Broker
    registry: Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Actions:
    """What clients and administrators can do."""

    accounts: Accounts
    reads: Reads
    writes: Writes
    requests: Requests
    subscriptions: Subscriptions
    rate_limit: RateLimit


@dataclass(frozen=True, kw_only=True, slots=True)
class PushParts:
    """What pushes to devices that are away."""

    expansion: Expansion
    sender: Sender


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a process is made of, whatever roles it runs. `gateway_inboxes` are by transport."""

    adapters: Adapters
    peers: Peers
    applications: Applications
    actions: Actions
    transports: Transports
    groups: Sequence[Group[Any]]
    dead_letters: DeadLetters
    outbox: Outbox | None
    node_inbox: Inbox[NodeMessage]
    gateway_inboxes: Mapping[str, Inbox[GatewayMessage]]
    membership: Membership
    writer: Writer
    tombstones: TombstoneSweeper
    transport_manager: TransportManager
    push: PushParts | None
    worker_states: Sequence[StoredState]
    workers: Mapping[str, WorkerRunner]
    metrics: Metrics
    http_metrics: HttpMetrics
