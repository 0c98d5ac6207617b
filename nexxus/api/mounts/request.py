"""A request to a mount."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from secrets import token_urlsafe
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from nexxus.api.answering import Answering
from nexxus.api.bodies import read_body
from nexxus.api.credentials import bearer_token, needed
from nexxus.api.mounts.authentication import MountAuthentication
from nexxus.api.mounts.streams import AsgiStream, RawStream
from nexxus.domain.identity import Identity
from nexxus.errors import InvalidParameters, WireError
from nexxus.interfaces.http_connection import http_connection
from nexxus.interfaces.mounts import Headers, Stream
from nexxus.interfaces.transport import TransportLimits
from nexxus.toolkit.rate_limit import RateLimit

_BROWSER: Final = "nxx-browser"
"""The cookie with a browser's secret, to which its tickets are bound."""

_OK: Final = 200


class MountServices:
    """What requests to mounts need from the node; the limits are those of ``[limits]``."""

    def __init__(
        self,
        *,
        answering: Answering,
        authentication: MountAuthentication,
        rate_limit: RateLimit,
        body_limit: int,
        origins: Sequence[str] = (),
    ) -> None:
        self.answering = answering
        self.authentication = authentication
        self.rate_limit = rate_limit
        self.body_limit = body_limit
        self.origins = origins


class MountedRequest:
    """See `nexxus.interfaces.mounts.MountRequest`.

    `status` is set when a response has begun; `going_on` must then be awaited until it ends.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        raw_headers: Mapping[bytes, bytes],
        request_id: bytes,
        services: MountServices,
        limits: TransportLimits,
        is_limited: bool,
        reconnects: bool,
    ) -> None:
        self.identity: Identity | None = None
        self.status: int | None = None
        self.going_on: Callable[[], Awaitable[None]] | None = None
        self.extra_headers: list[tuple[bytes, bytes]] = []
        self._scope = scope
        self._receive = receive
        self._send = send
        self._raw_headers = raw_headers
        self._request_id = request_id
        self._services = services
        self._limits = limits
        self._is_limited = is_limited
        self._reconnects = reconnects

    @property
    def id(self) -> str:
        """See `MountRequest.id`."""
        return self._request_id.decode()

    @property
    def method(self) -> str:
        """See `MountRequest.method`."""
        return self._scope.get("method", "GET")  # type: ignore[no-any-return]

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """See `MountRequest.headers`."""
        return {n.decode("latin-1"): v.decode("latin-1") for n, v in self._raw_headers.items()}

    @cached_property
    def query(self) -> Mapping[str, Sequence[str]]:
        """See `MountRequest.query`."""
        text = self._scope.get("query_string", b"").decode("latin-1")
        return parse_qs(text, keep_blank_values=True) if text else {}

    @property
    def address(self) -> str:
        """See `MountRequest.address`."""
        client = self._scope.get("client")
        return client[0] if client else ""

    async def authenticate(self) -> Identity:
        """See `MountRequest.authenticate`."""
        try:
            identity = await self._find_identity()
        except WireError:
            self.count()
            raise
        self.count(identity)
        self.identity = identity
        return identity

    async def _find_identity(self) -> Identity:
        authentication = self._services.authentication
        app_id = self.headers.get("nxx-app-id")
        token = bearer_token(self._raw_headers)
        tickets = self.query.get("ticket")
        if token is None and tickets:
            return await authentication.by_ticket(
                tickets[-1],
                app_id=app_id,
                browser=self._browser(),
                again=self._reconnects and "last-event-id" in self.headers,
            )
        if not app_id:
            raise InvalidParameters(
                "name the application in the header nxx-app-id", {"field": "nxx-app-id"}
            )
        authentication.require_application(app_id)
        return await authentication.by_token(app_id, needed(token))

    def count(self, identity: Identity | None = None) -> None:
        """Count the request for its device, or without one for its address.

        Raises `TooManyRequests`.
        """
        limit = self._services.rate_limit
        if not (self._is_limited and limit.enabled):
            return
        if identity is not None and identity.device_id is not None:
            limit.take_device(identity.app_id, identity.device_id)
        else:
            limit.take(self.address)

    def _browser(self) -> str:
        """Return the browser's secret; a browser without one gets one with the response."""
        if not self._reconnects:
            return ""
        try:
            morsel = SimpleCookie(self.headers.get("cookie", "")).get(_BROWSER)
        except CookieError:
            morsel = None
        if morsel is not None and morsel.value:
            return morsel.value
        secret = token_urlsafe(16)
        # Without a path, the cookie applies where the browser sees this URL, even behind a proxy
        # that strips a prefix.
        secure = "; Secure" if self._scope.get("scheme") in ("https", "wss") else ""
        cookie = f"{_BROWSER}={secret}; HttpOnly; SameSite=Strict{secure}"
        self.extra_headers.append((b"set-cookie", cookie.encode("latin-1")))
        return secret

    async def read(self) -> bytes:
        """See `MountRequest.read`."""
        return await read_body(self._receive, self._raw_headers, self._services.body_limit)

    async def gone(self) -> None:
        """See `MountRequest.gone`."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def stream(
        self, media_type: bytes, *, headers: Headers = (), lost: Callable[[], None]
    ) -> Stream:
        """See `MountRequest.stream`."""
        connection = http_connection(self._scope)
        if connection is not None:
            connection.begin_endless_answer()
        await self._send(
            {
                "type": "http.response.start",
                "status": _OK,
                "headers": [
                    (b"content-type", media_type),
                    *self._services.answering.headers(self._scope, self._request_id),
                    *self.extra_headers,
                    *headers,
                ],
            }
        )
        self.status = _OK
        if connection is not None:
            raw = RawStream(self._limits, lost)
            connection.hand_over(raw)
            return raw
        stream = AsgiStream(self._limits, lost)
        self.going_on = lambda: stream.run(self._receive, self._send)
        return stream
