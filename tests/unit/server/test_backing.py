"""A start waits for its services and for what it needs from them."""

from __future__ import annotations

import pytest

from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.server.backing import Backing
from nexxus.testing.journal import Journal
from nexxus.toolkit.backoff import Backoff


class Service:
    """Unavailable for its first `failures` calls."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def open(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("it is away")

    async def close(self) -> None: ...

    async def ping(self) -> None: ...


async def test_a_service_lost_again_during_the_start_is_waited_for() -> None:
    broker = Service(failures=2)
    services = Backing({"broker": broker}, Journal(), again=Backoff(first=0.01, longest=0.01))
    await services.open(within=10)
    broker.failures = 2
    await services.wait_for("broker", broker.open)
    assert broker.failures == 0


async def test_a_service_that_stays_unavailable_ends_the_start_and_is_named() -> None:
    broker = Service(failures=1_000_000)
    services = Backing({"broker": broker}, Journal())
    with pytest.raises(StartupError, match=r"broker did not come within.*it is away"):
        await services.open(within=0.1)
