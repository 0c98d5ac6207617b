"""The API's dependencies; the composition root creates them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nexxus.accounts.accounts import Accounts
from nexxus.api.device_subscriptions import DeviceSubscriptions
from nexxus.api.metrics import HttpMetrics
from nexxus.api.mounts.table import Mounted
from nexxus.api.settings import ApiSettings
from nexxus.applications.applications import Applications
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.cluster.worker_queues import WorkerQueues
from nexxus.interfaces.logger import Logger
from nexxus.objects.reads import Reads
from nexxus.objects.requests import Requests
from nexxus.objects.writes import Writes
from nexxus.toolkit.rate_limit import RateLimit


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything that the routes call.

    `readiness` returns problems by adapter name; an empty result means ready. `metrics` returns the
    process's metrics and their media type, in the format that an ``Accept`` header requests.
    `http_metrics` measures the requests of all ports. `mounted` are the transports' mounts.
    `demo_url` is the path of the example pages, "" if there are none.
    """

    applications: Applications
    accounts: Accounts
    reads: Reads
    writes: Writes
    requests: Requests
    device_subscriptions: DeviceSubscriptions
    settings: ApiSettings
    rate_limit: RateLimit
    admin_key: str
    dead_letters: DeadLetters
    worker_queues: WorkerQueues
    readiness: Callable[[], Awaitable[dict[str, str]]]
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    http_metrics: HttpMetrics
    logger: Logger
    version: str
    mounted: Sequence[Mounted]
    demo_url: str = ""
