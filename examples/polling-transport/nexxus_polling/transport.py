"""The transport: long polling, for networks that let nothing but short HTTP requests through.

- ``POST <path>`` (``?cursor=`` to resume) connects: ``{"connection": "…"}``
- ``GET <path>/events?connection=…`` waits for frames of the server: ``[{"event": …, "data": …}]``
- ``POST <path>/frames?connection=…`` sends frames of the client, one per line
- ``DELETE <path>?connection=…`` disconnects

A client whose request for events fails connects again, with the last cursor that it has.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from nexxus.errors import InvalidParameters, NotFound, ServiceUnavailable
from nexxus.interfaces.mounts import HttpMount, MountAnswer, MountRequest
from nexxus.interfaces.transport import (
    CloseCode,
    Framing,
    ServerFrame,
    Transport,
    TransportHost,
)
from nexxus_polling.settings import PollingSettings
from nexxus_polling.wire import PollingWire


class PollingFraming(Framing):
    """Writes each frame as an element of a JSON array, with the comma behind it."""

    def frame(self, frame: ServerFrame) -> bytes:
        whole: dict[str, Any] = {"event": frame.event, "data": msgspec.Raw(frame.data)}
        if frame.ref is not None:
            whole["ref"] = frame.ref
        return msgspec.json.encode(whole) + b","


FRAMING = PollingFraming()


class PollingTransport(Transport):
    """Mounts its routes beside the API, and opens no port."""

    def __init__(self, settings: PollingSettings) -> None:
        self._settings = settings
        self._wires: dict[str, PollingWire] = {}
        self._host: TransportHost

    async def start(self, host: TransportHost) -> None:
        self._host = host

    async def stop(self) -> None:
        self._wires.clear()

    @property
    def mounts(self) -> Sequence[HttpMount]:
        path = self._settings.path
        return (
            HttpMount(path, self._connect, methods=("POST", "DELETE"), summary="Connect or leave"),
            HttpMount(f"{path}/events", self._poll, summary="Wait for frames of the server"),
            HttpMount(f"{path}/frames", self._receive, methods=("POST",), summary="Send frames"),
        )

    async def _connect(self, request: MountRequest) -> MountAnswer:
        if request.method == "DELETE":
            wire = self._wire(request)
            wire.connection.closed_by_peer()
            wire.abort()
            return MountAnswer(204)
        if not self._host.is_accepting:
            raise ServiceUnavailable("this node takes no more connections; try another one")
        assert request.identity is not None
        name = secrets.token_urlsafe(16)
        wire = PollingWire(
            request.identity,
            self._settings,
            self._host.limits.send_buffer,
            on_end=lambda: self._wires.pop(name, None),
        )
        wire.connection = self._host.accept(wire, FRAMING)
        self._wires[name] = wire
        try:
            await wire.connection.register(
                request.identity, cursor=request.query.get("cursor", (None,))[-1]
            )
        except BaseException:
            wire.abort()
            raise
        return MountAnswer(200, msgspec.json.encode({"connection": name}))

    async def _poll(self, request: MountRequest) -> MountAnswer:
        wire = self._wire(request)
        poll, leaving = wire.poll(), asyncio.ensure_future(request.gone())
        try:
            await asyncio.wait((poll, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not poll.done():
                wire.abort()
        return MountAnswer(200, poll.result())

    async def _receive(self, request: MountRequest) -> MountAnswer:
        wire = self._wire(request)
        for frame in (await request.read()).split(b"\n"):
            await wire.may_read.wait()
            if len(frame) > self._host.limits.frame:
                wire.connection.close(CloseCode.TOO_BIG, "the frame is too big")
                break
            if frame.strip():
                wire.connection.received(frame)
        return MountAnswer(202, b"{}")

    def _wire(self, request: MountRequest) -> PollingWire:
        """Return the connection that a request names, if it is the same device's."""
        assert request.identity is not None
        names = request.query.get("connection", ())
        if len(names) != 1:
            raise InvalidParameters(
                "connection: expected the one that this device has", {"field": "connection"}
            )
        wire = self._wires.get(names[0])
        if wire is None or not wire.belongs_to(request.identity):
            raise NotFound("there is no such connection any more; connect again")
        return wire
