"""The conformance kit for `nexxus.interfaces.push_service.PushService`.

Subclass `PushServiceConformance` in a test module, and stand in for the service's server::

    class TestNtfyService(PushServiceConformance):
        @pytest.fixture(autouse=True)
        async def server(self):
            self.server = FakeNtfy()

        def create(self):
            return NtfyService(NtfySettings(url=self.server.url))

        def address(self):
            return {"topic": "ann"}

        def gone_address(self):
            return {"topic": "removed"}

        def invalid_addresses(self):
            return [{}, {"topic": 7}, {"topic": "ann", "unknown": 1}]

        async def received(self):
            return [Received(m.title, m.text, m.json) for m in self.server.messages("ann")]

A test of your own in the same class takes the fixture `service`, which is open, and sends what
`push` returns.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from nexxus.errors import InvalidParameters, ServiceUnavailable
from nexxus.interfaces.push_service import (
    Gone,
    Push,
    PushMessage,
    PushOutcome,
    PushService,
    Sent,
    TryLater,
)

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

DATA: dict[str, Any] = {
    "event": "model_updated",
    "channels": ["c1", "c2"],
    "model": "task",
    "id": "t1",
    "count": 1,
}


class Received(NamedTuple):
    """A push as the device of `PushServiceConformance.address` got it, or would have got it."""

    title: str
    body: str
    data: Mapping[str, Any]


class PushServiceConformance(ABC):
    """What every push service keeps."""

    @abstractmethod
    def create(self) -> PushService:
        """Return a new service that is not open."""

    @abstractmethod
    def address(self) -> Mapping[str, Any]:
        """Return what a client puts under ``push``, without ``service``."""

    @abstractmethod
    def gone_address(self) -> Mapping[str, Any]:
        """Return an address that is valid, but of a device that the service no longer knows."""

    @abstractmethod
    def invalid_addresses(self) -> Sequence[Mapping[str, Any]]:
        """Return addresses that are none: with keys missing, invalid, and unknown."""

    @abstractmethod
    async def received(self) -> Sequence[Received]:
        """Return what has come for `address`, oldest first."""

    def unreachable(self) -> PushService | None:
        """Return a service whose server is away; None if it has none."""
        return None

    # What the tests stand on

    @pytest.fixture
    async def service(self) -> AsyncIterator[PushService]:
        """A service that is open."""
        service = self.create()
        await service.open()
        yield service
        await service.close()

    def push(self, service: PushService, message: PushMessage, *, to: Any = None) -> Push:
        """Return a push of a message: to `address`, or to another address."""
        address = service.check_address(self.address() if to is None else to)
        return Push(address, message, expires_in=3600.0)

    async def _send(self, service: PushService, *pushes: Push) -> Sequence[PushOutcome]:
        async with asyncio.timeout(PATIENCE):
            outcomes = await service.send(pushes)
        assert len(outcomes) == len(pushes)
        return outcomes

    # Addresses

    def test_an_address_is_checked_without_a_service_that_is_open(self) -> None:
        service, given = self.create(), self.address()
        checked = service.check_address(given)
        assert msgspec.json.decode(msgspec.json.encode(checked)) == checked
        assert service.check_address(checked) == checked
        assert service.public_key is None or service.public_key

    def test_an_address_that_is_none_is_refused(self) -> None:
        service = self.create()
        for address in self.invalid_addresses():
            with pytest.raises(InvalidParameters, match=r"."):
                service.check_address(address)

    # Sending

    async def test_a_message_comes_with_what_is_shown_and_what_is_for_the_application(
        self, service: PushService
    ) -> None:
        message = PushMessage(DATA, title="é ✓ “Tasks”", body="two\nlines", collapse="t1")
        assert await self._send(service, self.push(service, message)) == [Sent()]
        assert await self.received() == [Received("é ✓ “Tasks”", "two\nlines", DATA)]

    async def test_a_silent_message_shows_nothing(self, service: PushService) -> None:
        assert await self._send(service, self.push(service, PushMessage(DATA))) == [Sent()]
        assert await self.received() == [Received("", "", DATA)]

    async def test_a_whole_batch_comes_in_order(self, service: PushService) -> None:
        messages = [PushMessage({**DATA, "count": n}) for n in range(1, service.batch + 1)]
        pushes = [self.push(service, message) for message in messages]
        assert await self._send(service, *pushes) == [Sent()] * service.batch
        counts = [received.data["count"] for received in await self.received()]
        assert sorted(counts) == list(range(1, service.batch + 1))

    async def test_the_largest_message_is_accepted(self, service: PushService) -> None:
        message = PushMessage(DATA, title="t", body="x" * 2500)
        assert await self._send(service, self.push(service, message)) == [Sent()]

    async def test_a_device_that_is_gone_is_named_and_the_others_get_theirs(
        self, service: PushService
    ) -> None:
        message = PushMessage(DATA, title="Hello")
        outcomes = await self._send(
            service,
            self.push(service, message),
            self.push(service, message, to=self.gone_address()),
            self.push(service, message),
        )
        assert [type(outcome) for outcome in outcomes] == [Sent, Gone, Sent]
        assert len(await self.received()) == 2

    async def test_batches_may_be_sent_at_the_same_time(self, service: PushService) -> None:
        push = self.push(service, PushMessage(DATA))
        await asyncio.gather(*(self._send(service, push) for _ in range(5)))
        assert len(await self.received()) == 5

    async def test_while_its_server_is_away_pushes_are_to_be_tried_later(self) -> None:
        service = self.unreachable()
        if service is None:
            pytest.skip("the service has no server")
        push = self.push(service, PushMessage(DATA))
        try:
            await service.open()
        except ServiceUnavailable:
            return  # then it is opened again, and pushes wait
        try:
            (outcome,) = await self._send(service, push)
        except Exception:  # counts as TryLater for all of them
            return
        finally:
            await service.close()
        assert isinstance(outcome, TryLater)

    async def test_closing_twice_is_fine(self, service: PushService) -> None:
        await service.close()
        await service.close()
