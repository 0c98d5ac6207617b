"""Parts: what a process is made of, put together by `nexxus.composition`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexxus.actions.applications import Applications
from nexxus.actions.devices import Devices
from nexxus.actions.external_sign_in import ExternalSignIn
from nexxus.actions.passwords import Passwords
from nexxus.actions.rate_limit import RateLimit
from nexxus.actions.reads import Reads
from nexxus.actions.requests import Requests
from nexxus.actions.sessions import Sessions
from nexxus.actions.users import Users
from nexxus.actions.writes import Writes
from nexxus.interfaces.auth_strategy import AuthStrategy
from nexxus.interfaces.broker import Broker
from nexxus.interfaces.database import Database
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Registry
from nexxus.membership import Membership
from nexxus.metrics import Metrics
from nexxus.node import NodeInbox
from nexxus.nodes import Nodes
from nexxus.transport_manager import TransportManager
from nexxus.transports import Transports
from nexxus.workers import WorkerRunner
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
