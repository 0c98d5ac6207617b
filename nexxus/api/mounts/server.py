"""Serves mounts, and treats their requests like those of the API."""

from __future__ import annotations

import time

from starlette.types import Receive, Scope, Send

from nexxus.api.answering import GONE, path_of, request_id_of
from nexxus.api.bodies import ClientDisconnected
from nexxus.api.mounts.handshake import BadHandshake
from nexxus.api.mounts.opening import (
    SWITCHING,
    open_on,
    open_over_asgi,
    refuse_over_asgi,
    require_opening,
)
from nexxus.api.mounts.request import MountedRequest, MountServices
from nexxus.api.mounts.table import Mounted, MountTable
from nexxus.api.responses import AnyAnswer, Raw
from nexxus.errors import MethodNotAllowed, NotFound, WireError
from nexxus.interfaces.http_connection import http_connection
from nexxus.interfaces.logger import log_context
from nexxus.interfaces.mounts import Authentication, HttpMount, WebSocketMount


class MountServer:
    """An ASGI application that serves the mounts of one port."""

    def __init__(self, table: MountTable, services: MountServices) -> None:
        self._table = table
        self._services = services
        self._answering = services.answering

    def find(self, scope: Scope, path: str, headers: dict[bytes, bytes]) -> Mounted | None:
        """Return the mount that serves an HTTP request, or None if it is not for a mount."""
        if b"upgrade" in headers and headers[b"upgrade"].lower() == b"websocket":
            is_ours = http_connection(scope) is not None
            return self._table.web_sockets.get(path) if is_ours else None
        return self._table.http.get(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a port that has only mounts."""
        if scope["type"] == "websocket":
            await self.connect(scope, receive, send)
        elif scope["type"] == "http":
            headers = dict(scope["headers"])
            mounted = self.find(scope, path_of(scope), headers)
            if mounted is not None:
                await self.serve(mounted, scope, receive, send, headers)
                return
            error = NotFound(f"there is no route {scope['path']}")
            request_id = request_id_of(headers)
            answer = self._answering.refuse(error, scope["method"], request_id)
            await self._answering.send(scope, send, headers, answer, request_id)

    async def serve(
        self,
        mounted: Mounted,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: dict[bytes, bytes],
    ) -> None:
        """Serve an HTTP request whose mount was found by `find`."""
        started = time.perf_counter()
        answering, mount = self._answering, mounted.mount
        method, request_id = scope["method"], request_id_of(headers)
        request = self._request(mounted, scope, receive, send, headers, request_id)
        status = GONE
        answering.metrics.requests_running += mount.measured
        try:
            answer: AnyAnswer | None
            with log_context(requestId=request.id):
                try:
                    answer = await self._act(mounted, request, scope)
                except WireError as error:
                    answer = answering.refuse(error, method, request_id)
                    if isinstance(error, BadHandshake):
                        answer = answer._replace(headers=(*answer.headers, *BadHandshake.HEADERS))
                except (ClientDisconnected, ConnectionResetError):
                    return
                except Exception as error:
                    answer = answering.log_and_hide(error, method, mount.path, request_id)
                    if request.status is not None:
                        raise  # The response has begun, so the client cannot be sent an error.
            if answer is not None:
                status = answer.status
                answer = answer._replace(headers=(*answer.headers, *request.extra_headers))
                await answering.send(scope, send, headers, answer, request_id)
            elif request.status is not None:
                status = request.status
        finally:
            answering.metrics.requests_running -= mount.measured
            if mount.measured:
                answering.observe(method, mount.path, status, started)
        if request.going_on is not None:
            await request.going_on()

    async def connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket of another server."""
        started = time.perf_counter()
        await receive()  # websocket.connect
        headers = dict(scope.get("headers", ()))
        request_id = request_id_of(headers)
        mounted = self._table.web_sockets.get(path_of(scope))
        mount = None if mounted is None else mounted.mount
        if mounted is None or not isinstance(mount, WebSocketMount):
            error = NotFound(f"there is no WebSocket at {scope['path']}")
            await refuse_over_asgi(scope, send, error, request_id)
            return
        host = mounted.host
        request = self._request(mounted, scope, receive, send, headers, request_id)
        status = SWITCHING
        with log_context(requestId=request.id):
            try:
                await _admit(mount, request)
                require_opening(host, request, self._services.origins)
            except WireError as error:
                status = error.status
                await refuse_over_asgi(scope, send, error, request_id)
                return
            finally:
                if mount.measured:
                    self._answering.observe("GET", mount.path, status, started)
            await open_over_asgi(mount, host, request, scope, receive, send)

    def _request(
        self,
        mounted: Mounted,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: dict[bytes, bytes],
        request_id: bytes,
    ) -> MountedRequest:
        mount = mounted.mount
        return MountedRequest(
            scope,
            receive,
            send,
            raw_headers=headers,
            request_id=request_id,
            services=self._services,
            limits=mounted.host.limits,
            is_limited=mount.limited,
            reconnects=isinstance(mount, HttpMount) and mount.reconnects,
        )

    async def _act(self, mounted: Mounted, request: MountedRequest, scope: Scope) -> Raw | None:
        """Run the mount's handler; return its response, or None if it has begun already."""
        mount, host = mounted
        if isinstance(mount, HttpMount) and request.method not in mount.methods:
            allow = tuple(sorted(mount.methods))
            raise MethodNotAllowed(
                f"{mount.path} supports {', '.join(allow)}, not {request.method}", allow=allow
            )
        await _admit(mount, request)
        with log_context(**_log_fields(request)):
            if isinstance(mount, HttpMount):
                answer = await mount.handler(request)
                if answer is None:
                    return None
                return Raw(answer.status, answer.body, answer.media_type, answer.headers)
            require_opening(host, request, self._services.origins)
            connection = http_connection(scope)
            assert connection is not None, "upgrades are only found on our own connections"
            open_on(connection, mount, host, request, scope)
            return None


async def _admit(mount: HttpMount | WebSocketMount, request: MountedRequest) -> None:
    if mount.authentication is Authentication.FIRST:
        await request.authenticate()
    elif mount.authentication is Authentication.NONE:
        request.count()


def _log_fields(request: MountedRequest) -> dict[str, str]:
    return {} if request.identity is None else {"appId": request.identity.app_id}
