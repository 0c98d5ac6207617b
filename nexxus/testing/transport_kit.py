"""The conformance kit for `nexxus.interfaces.transport.Transport`.

Subclass `TransportConformance` in a test module, give it a fixture `transport` that yields one
that is not started, and say how a device connects to it::

    class TestMyTransport(TransportConformance):
        @pytest.fixture
        def transport(self):
            return MyTransport(MySettings(port=0))

        async def connect(self, transport, host):
            return await MyPeer.open(transport.port)

A peer whose protocol carries frames extends `nexxus.testing.frame_peer.FramePeer`.

The kit starts the transport on a real gateway, and serves what it mounts at ``host.port``: on a
connection of Nexxus's own server, or of one that only knows ASGI, as `server` says; a transport
with mounts is tested on both. A transport that cannot say why it closes, or over which clients
cannot ask for operations, says so in `tells_close_codes` and `sends_requests`; one whose clients
choose how long they may be away says so in `chooses_window`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest

from nexxus.interfaces.mounts import Authentication, HttpMount, WebSocketMount
from nexxus.interfaces.transport import CloseCode, Transport
from nexxus.testing.transport_host import KitHost, kit_host
from nexxus.testing.transport_port import Server
from nexxus.testing.transport_tokens import APP

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""

SETTINGS: dict[str, Any] = {"send_buffer": 256 * 1024, "close_timeout": 1.0}
"""Less than usual is buffered for a peer, so that a slow one shows soon."""


class PeerRefused(Exception):
    """The server refused what a peer asked for.

    `code` is that of the ``error`` frame, or the error's name where the protocol has no such frame.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Peer(ABC):
    """A device's end of a connection, as the transport's author would write a client.

    `cursor` is the last one that a frame brought.
    """

    cursor: str | None = None

    @abstractmethod
    async def register(self, token: str, cursor: str | None = None) -> None:
        """Register and return when that is confirmed; raises `PeerRefused`.

        With a cursor, ask for what was missed since, and do not wait for the answer.
        """

    async def keep_for(self, seconds: float) -> None:
        """Ask that the subscriptions be kept for so long once the connection is lost."""
        raise NotImplementedError

    async def request(self, event: str, data: dict[str, Any]) -> tuple[int, Any]:
        """Ask for an operation; the status, and the answer's data or its error.

        May be called several times at once.
        """
        raise NotImplementedError

    @abstractmethod
    async def next(self) -> tuple[str, Any]:
        """The next frame that answers no request, as its event and data.

        Those are the ``model_…`` events, ``resume`` and ``resync``.
        """

    @abstractmethod
    async def closed(self) -> int | None:
        """Wait for the end; the code of the close, None where there was none."""

    @abstractmethod
    async def leave(self) -> None:
        """Close in an orderly way."""

    @abstractmethod
    def vanish(self) -> None:
        """Be gone without a word."""

    @abstractmethod
    def stop_reading(self) -> None:
        """Take nothing more from the network."""


class TransportConformance(ABC):
    """What every transport keeps."""

    server: ClassVar[Server] = "ours"
    tells_close_codes: ClassVar[bool] = True
    sends_requests: ClassVar[bool] = True
    chooses_window: ClassVar[bool] = False

    @abstractmethod
    async def connect(self, transport: Transport, host: KitHost) -> Peer:
        """Return a new peer of a transport that has been started."""

    # What the tests stand on

    @pytest.fixture
    async def host(self, transport: Transport, tmp_path: Path) -> AsyncIterator[KitHost]:
        """A node on which the transport has been started."""
        async with kit_host(tmp_path, **SETTINGS) as host:
            await transport.start(host.gateway)
            try:
                async with host.serving(transport, self.server):
                    yield host
                assert host.journal.records == []
            finally:
                await host.gateway.drain()
                await transport.stop()

    async def _registered(
        self, transport: Transport, host: KitHost, token: str, cursor: str | None = None
    ) -> Peer:
        peer = await self.connect(transport, host)
        async with asyncio.timeout(PATIENCE):
            await peer.register(token, cursor)
        return peer

    async def _subscribed(
        self, transport: Transport, host: KitHost, device: str, *channels: str
    ) -> Peer:
        peer = await self._registered(transport, host, device)
        await host.subscribe(device, *channels)
        return peer

    async def _close_code(self, peer: Peer, expected: CloseCode) -> None:
        async with asyncio.timeout(PATIENCE):
            code = await peer.closed()
        if self.tells_close_codes:
            assert code == expected

    def _skip_unless_requests(self) -> None:
        if not self.sends_requests:
            pytest.skip("operations do not go over this transport")

    # Registering

    async def test_a_device_that_registers_is_present(
        self, transport: Transport, host: KitHost
    ) -> None:
        await self._registered(transport, host, "d1")

        assert await host.is_present("d1")
        assert host.connections == 1

    async def test_a_bad_token_is_refused_and_another_may_follow(
        self, transport: Transport, host: KitHost
    ) -> None:
        peer = await self.connect(transport, host)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(PeerRefused) as refused:
                await peer.register("not a token")
        assert refused.value.code in ("INVALID_PARAMETERS", "UserAuthenticationFailedException")

        await self._registered(transport, host, "d1")
        assert await host.is_present("d1")

    async def test_a_second_connection_of_a_device_replaces_the_first(
        self, transport: Transport, host: KitHost
    ) -> None:
        first = await self._registered(transport, host, "d1")
        second = await self._subscribed(transport, host, "d1", "c1")

        await self._close_code(first, CloseCode.REPLACED)
        host.push(1, "c1")
        assert (await next_event(second))[0] == "model_created"

    # Events

    async def test_an_event_comes_whole(self, transport: Transport, host: KitHost) -> None:
        peer = await self._subscribed(transport, host, "d1", "c1")

        host.push(1, "c1", text='é ✓ "quoted"\n\r\n\x00 line\u2028')

        event, data = await next_event(peer)
        assert event == data["event"] == "model_created"
        assert data["model"]["text"] == 'é ✓ "quoted"\n\r\n\x00 line\u2028'
        assert data["metadata"]["channels"] == ["c1"]
        assert peer.cursor == data["metadata"]["cursor"]

    async def test_events_come_in_order_however_many_leave_at_once(
        self, transport: Transport, host: KitHost
    ) -> None:
        peer = await self._subscribed(transport, host, "d1", "c1")

        for version in range(1, 501):
            host.push(version, "c1", text="x" * (version % 300))

        found = [(await next_event(peer))[1]["model"]["version"] for _ in range(500)]
        assert found == list(range(1, 501))

    async def test_events_are_for_those_in_their_channels(
        self, transport: Transport, host: KitHost
    ) -> None:
        both = await self._subscribed(transport, host, "d1", "c1", "c2")
        one = await self._subscribed(transport, host, "d2", "c2")

        host.push(1, "c1")
        host.push(2, "c1", "c2")
        host.push(3, "c2")

        seen = [(await next_event(both))[1] for _ in range(3)]
        assert [data["metadata"]["channels"] for data in seen] == [["c1"], ["c1", "c2"], ["c2"]]
        assert [(await next_event(one))[1]["model"]["version"] for _ in range(2)] == [2, 3]

    async def test_a_large_event_comes_whole(self, transport: Transport, host: KitHost) -> None:
        peer = await self._subscribed(transport, host, "d1", "c1")

        host.push(1, "c1", text="x" * 200_000)

        assert len((await next_event(peer))[1]["model"]["text"]) == 200_000

    # Operations

    async def test_a_request_gets_its_answer(self, transport: Transport, host: KitHost) -> None:
        self._skip_unless_requests()
        peer = await self._registered(transport, host, "d1")
        assert host.connections == 1

        async with asyncio.timeout(PATIENCE):
            done = await peer.request("create", {"type": "task", "text": "é"})
            refused = await peer.request("update", {"fails": True})

        assert done == (202, {"type": "task", "text": "é", "device": "d1"})
        status, error = refused
        assert (status, error["error"]) == (409, "VersionConflictException")

    async def test_writes_take_effect_in_order_and_are_all_answered(
        self, transport: Transport, host: KitHost
    ) -> None:
        self._skip_unless_requests()
        peer = await self._registered(transport, host, "d1")

        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(
                *(peer.request("update", {"number": number}) for number in range(400))
            )

        assert [data["number"] for _, data in answers] == list(range(400))
        assert [data["number"] for _, data in host.actions.performed] == list(range(400))

    # Ends

    async def test_a_peer_that_leaves_is_not_present(
        self, transport: Transport, host: KitHost
    ) -> None:
        leaving = await self._registered(transport, host, "d1")
        vanishing = await self._registered(transport, host, "d2")

        await leaving.leave()
        vanishing.vanish()

        await until(lambda: host.connections == 0)
        await until(lambda: _is_absent(host, "d1"))
        await until(lambda: _is_absent(host, "d2"))

    async def test_a_session_that_ends_closes_its_connection(
        self, transport: Transport, host: KitHost
    ) -> None:
        peer = await self._registered(transport, host, "d1")
        other = await self._subscribed(transport, host, "d2", "c1")

        host.end_session("d1")

        await self._close_code(peer, CloseCode.LOGGED_OUT)
        await until(lambda: host.connections == 1)
        host.push(1, "c1")
        await next_event(other)

    async def test_a_token_that_expires_closes_its_connection(
        self, transport: Transport, host: KitHost
    ) -> None:
        peer = await self._registered(transport, host, f"d1@{time.time() + 1}")

        await self._close_code(peer, CloseCode.TOKEN_EXPIRED)
        await until(lambda: host.connections == 0)

    async def test_a_peer_that_does_not_read_is_dropped_alone(
        self, transport: Transport, host: KitHost
    ) -> None:
        slow = await self._subscribed(transport, host, "d1", "c1")
        other = await self._subscribed(transport, host, "d2", "c1")
        slow.stop_reading()

        version = 0
        async with asyncio.timeout(PATIENCE):
            while host.connections == 2:
                version += 1
                host.push(version, "c1", text="x" * 100_000)
                assert (await other.next())[1]["model"]["version"] == version

        assert host.gateway.figures.slow_consumers == 1
        assert await host.is_present("d2")

    async def test_a_drain_closes_everything_and_accepts_no_more(
        self, transport: Transport, host: KitHost
    ) -> None:
        peers = [await self._registered(transport, host, f"d{number}") for number in range(3)]

        async with asyncio.timeout(PATIENCE):
            await host.gateway.drain()

        for peer in peers:
            await self._close_code(peer, CloseCode.GOING_AWAY)
        assert host.connections == 0
        with pytest.raises(Exception):  # noqa: B017, PT011 - refused, whatever that is to a client
            await asyncio.wait_for(self._registered(transport, host, "d9"), PATIENCE)

    async def test_stopping_twice_is_fine(self, transport: Transport, host: KitHost) -> None:
        await self._registered(transport, host, "d1")
        await host.gateway.drain()

        await transport.stop()
        await transport.stop()

    # Resuming

    async def test_what_was_missed_comes_in_order_after_a_resume(
        self, transport: Transport, host: KitHost
    ) -> None:
        peer = await self._subscribed(transport, host, "d1", "c1")
        host.push(1, "c1")
        await next_event(peer)
        assert peer.cursor is not None
        peer.vanish()
        await until(lambda: _is_absent(host, "d1"))
        for version in (2, 3):
            host.push(version, "c1")

        again = await self._registered(transport, host, "d1", peer.cursor)

        assert [(await next_event(again))[1]["model"]["version"] for _ in range(2)] == [2, 3]
        assert (await next_event(again))[0] == "resume"
        host.push(4, "c1")
        assert (await next_event(again))[1]["model"]["version"] == 4

    async def test_an_unknown_cursor_is_answered_by_a_resync(
        self, transport: Transport, host: KitHost
    ) -> None:
        peer = await self._subscribed(transport, host, "d1", "c1")
        peer.vanish()
        await until(lambda: _is_absent(host, "d1"))

        again = await self._registered(transport, host, "d1", "nobody:knows-1")

        event, data = await next_event(again)
        assert (event, data["channels"]) == ("resync", ["c1"])

    # How long a device may be away

    async def test_a_peer_that_wants_nothing_kept_leaves_nothing(
        self, transport: Transport, host: KitHost
    ) -> None:
        self._skip_unless_windows()
        peer = await self._subscribed(transport, host, "d1", "c1")
        async with asyncio.timeout(PATIENCE):
            await peer.keep_for(0)

        peer.vanish()

        await until(lambda: _has_channels(host, "d1", []))

    async def test_a_peer_may_be_away_for_longer_than_is_usual(
        self, transport: Transport, host: KitHost
    ) -> None:
        self._skip_unless_windows()
        usual = await self._subscribed(transport, host, "d1", "c1")
        longer = await self._subscribed(transport, host, "d2", "c1")
        host.push(1, "c1")
        await next_event(longer)
        async with asyncio.timeout(PATIENCE):
            await usual.keep_for(0.05)
            await longer.keep_for(600)

        for peer in (usual, longer):
            peer.vanish()
        await until(lambda: _has_channels(host, "d1", []))
        host.push(2, "c1")

        again = await self._registered(transport, host, "d2", longer.cursor)
        assert (await next_event(again))[1]["model"]["version"] == 2

    # What it mounts

    async def test_its_mounts_refuse_strangers_in_the_words_of_the_api(
        self, transport: Transport, host: KitHost
    ) -> None:
        for mount in self._authenticated_mounts(transport):
            for headers, status, name in (
                ({}, 400, "InvalidParametersException"),
                ({"nxx-app-id": APP}, 401, "NoAuthPresentException"),
                ({"nxx-app-id": "other"}, 404, "ApplicationNotFoundException"),
            ):
                answer = await _ask(host, mount, headers)
                assert answer.status_code == status, answer.text
                assert answer.headers["content-type"] == "application/json"
                body = answer.json()
                assert body["error"] == name
                assert body["requestId"] == answer.headers["x-request-id"]
        assert host.connections == 0

    async def test_its_mounts_know_their_methods(self, transport: Transport, host: KitHost) -> None:
        for mount in _http_mounts(transport):
            answer = await _ask(host, mount, {}, method="PATCH")
            assert answer.status_code == 405
            assert answer.headers["allow"] == ", ".join(sorted(mount.methods))

    async def test_its_mounts_are_measured(self, transport: Transport, host: KitHost) -> None:
        for mount in _http_mounts(transport):
            await _ask(host, mount, {}, method="PATCH")
            assert host.metrics.requests["PATCH", mount.path, 405] == int(mount.measured)
        if any(isinstance(mount, WebSocketMount) for mount in transport.mounts):
            await self._registered(transport, host, "d1")
            await until(lambda: any(key[2] == 101 for key in host.metrics.requests))

    async def test_a_client_that_comes_back_by_itself_is_stopped_when_it_is_over(
        self, transport: Transport, host: KitHost
    ) -> None:
        for mount in self._authenticated_mounts(transport):
            if not mount.reconnects:
                continue
            await self._registered(transport, host, "d1")
            host.end_session("d1")
            back = {"last-event-id": "kit:1-1", "nxx-app-id": APP}
            for token in ("d1", f"d2@{time.time() - 10}"):
                headers = {**back, "authorization": f"Bearer {token}"}
                answer = await _ask(host, mount, headers)
                assert (answer.status_code, answer.content) == (204, b"")

    def _skip_unless_windows(self) -> None:
        if not self.chooses_window:
            pytest.skip("clients do not choose how long they may be away")

    def _authenticated_mounts(self, transport: Transport) -> list[HttpMount]:
        return [
            mount
            for mount in _http_mounts(transport)
            if mount.authentication is not Authentication.NONE
        ]


def _http_mounts(transport: Transport) -> list[HttpMount]:
    return [mount for mount in transport.mounts if isinstance(mount, HttpMount)]


async def _ask(
    host: KitHost, mount: HttpMount, headers: dict[str, str], *, method: str = ""
) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        url = f"http://127.0.0.1:{host.port}{mount.path}"
        return await http.request(method or mount.methods[0], url, headers=headers)


async def _has_channels(host: KitHost, device: str, channels: list[str]) -> bool:
    return await host.channels_of(device) == channels


async def next_event(peer: Peer) -> tuple[str, Any]:
    """The peer's next frame that answers no request; fails when none comes."""
    async with asyncio.timeout(PATIENCE):
        return await peer.next()


async def until(check: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so; fails when it does not come to be."""
    async with asyncio.timeout(PATIENCE):
        while True:
            value = check()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.01)


async def _is_absent(host: KitHost, device: str) -> bool:
    return not await host.is_present(device)
