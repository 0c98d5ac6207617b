"""Parts: what a process is made of, put together by `nexxus.server.composition`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexxus.accounts.devices import Devices
from nexxus.accounts.external_sign_in import ExternalSignIn
from nexxus.accounts.passwords import Passwords
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.users import Users
from nexxus.applications.applications import Applications
from nexxus.cluster.inbox import NodeInbox
from nexxus.cluster.membership import Membership
from nexxus.cluster.peers import Nodes
from nexxus.interfaces.auth_strategy import AuthStrategy
from nexxus.interfaces.broker import Broker
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.objects.reads import Reads
from nexxus.objects.requests import Requests
from nexxus.objects.writes import Writes
from nexxus.server.metrics import Metrics
from nexxus.server.transports import Transports
from nexxus.toolkit.rate_limit import RateLimit
from nexxus.transport_manager import TransportManager
from nexxus.workers.runner import WorkerRunner
from nexxus.writer import TombstoneSweeper, Writer


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

    sessions: Sessions
    devices: Devices
    users: Users
    reads: Reads
    writes: Writes
    external_sign_in: ExternalSignIn
    rate_limit: RateLimit
    passwords: Passwords
    strategies: Mapping[str, AuthStrategy]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a process is made of, whatever roles it runs. `inboxes` are by transport."""

    adapters: Adapters
    nodes: Nodes
    applications: Applications
    actions: Actions
    requests: Requests
    transports: Transports
    inboxes: Mapping[str, NodeInbox]
    membership: Membership
    writer: Writer
    tombstones: TombstoneSweeper
    transport_manager: TransportManager
    workers: Mapping[str, WorkerRunner]
    metrics: Metrics
