"""The SSE transport: a device's live connection as a stream of server-sent events.

A client says what it wants in the request that opens the stream, and over the HTTP API; a
browser's ``EventSource`` reconnects by itself, with the same URL and the id of the last event.
Where it is not to come back it is answered with 204, which stops it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from nexxus.adapters.sse.event_stream import EventStream
from nexxus.adapters.sse.framing import ENDED, FRAMING, encode_close, encode_retry
from nexxus.adapters.sse.settings import SseSettings
from nexxus.errors import (
    InvalidParameters,
    NotStarted,
    ServiceUnavailable,
    TooManyRequests,
    UserAuthenticationFailed,
    UserTokenExpired,
    WireError,
)
from nexxus.interfaces.mounts import Authentication, HttpMount, MountAnswer, MountRequest
from nexxus.interfaces.transport import (
    CloseCode,
    DeviceConnection,
    Transport,
    TransportHost,
)

PATH: Final = "/sse"

_MEDIA_TYPE: Final = b"text/event-stream"
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx, and others, would wait until they have 4 KB or more
)
_STOP: Final = MountAnswer(204)
_SOON: Final = 5.0
"""Seconds until a browser that could not be served now tries again."""


class SseTransport(Transport):
    """Has no port of its own: it is mounted on the API's and the gateway's."""

    def __init__(self, settings: SseSettings) -> None:
        self._settings = settings
        self._host: TransportHost | None = None

    async def start(self, host: TransportHost) -> None:
        """See `Transport.start`."""
        self._host = host

    async def stop(self) -> None:
        """See `Transport.stop`."""
        self._host = None

    @property
    def mounts(self) -> Sequence[HttpMount]:
        """See `Transport.mounts`."""
        return [
            HttpMount(
                PATH,
                self._serve,
                authentication=Authentication.BY_MOUNT,
                reconnects=True,
                summary="Follow channels as server-sent events",
                openapi=_OPENAPI,
            )
        ]

    async def _serve(self, request: MountRequest) -> MountAnswer | None:
        last_id = request.headers.get("last-event-id")
        if last_id is None:
            return await self._open(request, None)
        # A client that comes back by itself would take any refusal for the end, or come again for
        # ever: it is stopped where it has no business here any more, and else told when to come.
        if last_id.startswith(ENDED):
            return _STOP
        try:
            return await self._open(request, last_id)
        except (UserTokenExpired, UserAuthenticationFailed):
            return _STOP
        except (ServiceUnavailable, TooManyRequests) as error:
            wait = error.retry_after if isinstance(error, TooManyRequests) else _SOON
            await self._postpone(request, wait)
            return None

    async def _open(self, request: MountRequest, last_id: str | None) -> MountAnswer | None:
        host = self._host
        if host is None:
            raise NotStarted("start the transport before a client connects")
        descriptors = [_parse_descriptor(text) for text in request.query.get("subscribe", ())]
        identity = await request.authenticate()
        if last_id is not None and host.is_replaced(identity, last_id):
            return _STOP
        if not host.is_accepting:
            raise ServiceUnavailable(
                "this node accepts no more connections now; try again, or another node"
            )
        wire = EventStream(self._settings.comment_interval)
        connection = host.accept(wire, FRAMING)
        try:
            await connection.register(identity, cursor=last_id or _cursor_in(request))
            stream = await request.stream(_MEDIA_TYPE, headers=_HEADERS, lost=connection.lost)
        except BaseException:
            connection.lost()
            raise
        wire.begin(stream, encode_retry(self._retry()))
        await _subscribe(connection, descriptors)
        return None

    async def _postpone(self, request: MountRequest, seconds: float) -> None:
        """Have a browser come again: it would take an error for the end."""
        stream = await request.stream(_MEDIA_TYPE, headers=_HEADERS, lost=lambda: None)
        stream.write(encode_retry(seconds))
        stream.end(encode_close(CloseCode.GOING_AWAY, "try again"))

    def _retry(self) -> float:
        return self._settings.retry * random.uniform(0.5, 1.5)


async def _subscribe(connection: DeviceConnection, descriptors: Iterable[dict[str, Any]]) -> None:
    """Make the subscriptions that the request asks for; each is answered by an event."""
    for descriptor in descriptors:
        try:
            _, answer = await connection.request("subscribe", descriptor)
        except WireError as error:
            refused = {
                "code": _error_code(error),
                "message": error.message,
                "error": error.to_wire(),
                "subscribe": descriptor,
            }
            connection.send("error", refused)
        else:
            connection.send("subscribed", answer)


def _parse_descriptor(text: str) -> dict[str, Any]:
    try:
        descriptor = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidParameters(
            f"subscribe: expected JSON: {error}", {"field": "subscribe"}
        ) from None
    if not isinstance(descriptor, dict):
        raise InvalidParameters(
            'subscribe: expected an object, such as {"model": "task"}', {"field": "subscribe"}
        )
    return descriptor


def _cursor_in(request: MountRequest) -> str | None:
    given = request.query.get("cursor")
    return given[-1] if given else None


def _error_code(error: WireError) -> str:
    if isinstance(error, TooManyRequests):
        return "RATE_LIMITED"
    return "INTERNAL_SERVER_ERROR" if error.status >= 500 else "INVALID_PARAMETERS"


def _parameter(name: str, place: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


_OPENAPI: Final[dict[str, Any]] = {
    "parameters": [
        _parameter("ticket", "query", "Stands once for the access token and the application."),
        _parameter(
            "subscribe",
            "query",
            "A subscription to make at once, as the JSON of its body; may be repeated.",
        ),
        _parameter("cursor", "query", "Where to resume."),
        _parameter("Last-Event-ID", "header", "Where to resume, as a browser says it by itself."),
    ],
    "responses": {
        "200": {
            "description": "One event per frame; see /asyncapi.json.",
            "content": {
                "text/event-stream": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "event": {"type": "string"},
                            "id": {"type": "string"},
                            "data": {"type": "string", "contentMediaType": "application/json"},
                        },
                        "required": ["event", "data"],
                    }
                }
            },
        },
        "204": {"description": "The connection has ended for good: do not come back."},
    },
}
