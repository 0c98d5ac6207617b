"""The worker keeps what every worker promises, and signs what it posts."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

import nexxus_webhooks
from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.testing.worker_kit import WorkerConformance
from nexxus_webhooks.worker import sign

KEY = b"a key of at least 24 bytes"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Receiver:
    """A server that verifies signatures; `answers` are what it answers first, by ``webhook-id``."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        self.answers: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop answering; may be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        name = headers["webhook-id"]
        if headers["webhook-signature"] != sign(KEY, name, headers["webhook-timestamp"], body):
            return 401, {}
        if waiting := self.answers.get(name):
            return waiting.pop(0)
        self.bodies.setdefault(name, []).append(body)
        return 204, {}

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(405, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(*receiver.take(self.headers, body))

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _answer(self, status: int, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

        return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


class TestWebhooksWorker(WorkerConformance):
    plugin = nexxus_webhooks
    name = "webhooks"

    @pytest.fixture(autouse=True)
    def _receiver(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def settings(self) -> Mapping[str, Any]:
        return {"url": self.receiver.url, "secret": SECRET}

    def unreachable_settings(self) -> Mapping[str, Any]:
        return {"url": "http://127.0.0.1:1/", "secret": SECRET}

    async def effects(self) -> Any:
        return {name: msgspec.json.decode(each[0]) for name, each in self.receiver.bodies.items()}

    async def test_an_object_whose_event_failed_waits_as_long_as_the_receiver_asks(
        self, nexxus: Any
    ) -> None:
        self.receiver.answers["created"] = [(429, {"retry-after": "30"})]
        events = [_event("a", 1, "created"), _event("a", 2, "updated"), _event("b", 1, "other")]
        async with self.opened(nexxus) as worker:
            (failed,) = await worker.handle(events)
        assert (failed.event.operation_id, failed.retry_after) == ("created", 30.0)
        assert set(self.receiver.bodies) == {"other"}

    async def test_a_receiver_that_is_away_does_not_cost_an_attempt(self, nexxus: Any) -> None:
        async with self.opened(nexxus) as worker:
            self.receiver.close()
            (failed,) = await worker.handle([_event("a", 1, "created")])
        assert isinstance(failed.error, ServiceUnavailable)


def _event(id: str, version: int, operation_id: str) -> Event:
    task = {"id": id, "type": "task", "title": "Buy milk"}
    return Event("model_created", "kit", "task", id, version, None, task, [], None, operation_id)
