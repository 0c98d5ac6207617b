"""The API as an ASGI application: from a request to its endpoint, and back.

There is no middleware on the way of a request but what the configuration asks for: every
microsecond here is paid by every accepted write.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterable
from random import getrandbits
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from nexxus.api import description, health
from nexxus.api.endpoints import Admission, Endpoint
from nexxus.api.errors import to_answer
from nexxus.api.mounts import Mounts, find, path_of
from nexxus.api.requests import ClientDisconnected, Request, needed
from nexxus.api.responses import Answer, Raw, encode
from nexxus.api.routes import ENDPOINTS
from nexxus.api.routing import Router
from nexxus.api.services import Services
from nexxus.domain.identity import Identity
from nexxus.errors import (
    MethodNotAllowed,
    ServerError,
    UserAuthenticationFailed,
    WireError,
)
from nexxus.interfaces.logger import log_context

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_EXPOSED: Final = ("nxx-operation-id", "retry-after", "x-request-id")
_NO_STORE: Final = (b"cache-control", b"no-store")
_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_GONE: Final = 499
_UNKNOWN_ROUTE: Final = "(none)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


def build_api(services: Services) -> ASGIApp:
    """The ASGI application of the contract's HTTP routes, and of what the transports serve."""
    shown = description.ENDPOINTS if services.api.docs else []
    app: ASGIApp = _Api(services, (*ENDPOINTS, *shown, *description.DASHBOARD))
    if services.http_routes:
        app = Mounts(app, services.http_routes)
    if services.api.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=services.api.cors_origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("*",),
            expose_headers=_EXPOSED,
            max_age=86_400,
        )
    if services.api.trusted_proxies:
        app = ProxyHeadersMiddleware(app, trusted_hosts=list(services.api.trusted_proxies))  # type: ignore[arg-type,assignment]
    return app


def build_health_api(services: Services) -> ASGIApp:
    """What a port without the API answers over HTTP: how its process is doing."""
    return _Api(services, health.ENDPOINTS)


class _Api:
    def __init__(self, services: Services, endpoints: Iterable[Endpoint]) -> None:
        self._services = services
        self._router = Router(tuple(endpoints))
        self._metrics = services.http_metrics
        self._limit = services.rate_limit
        self._admin_key = services.admin_key.encode()
        self._hsts = (
            b"strict-transport-security",
            f"max-age={services.api.hsts_max_age}".encode(),
        )
        self._guards = {
            Admission.PUBLIC: self._admit_anybody,
            Admission.APPLICATION: self._admit_application,
            Admission.USERS: self._admit_users,
            Admission.MODELS: self._admit_to_models,
            Admission.DEVICE: self._admit_device,
            Admission.ADMIN: self._admit_administrator,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "websocket":
            await self._connect(scope, receive, send)
        elif kind == "lifespan":
            await _live(receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        method: str = scope["method"]
        given_id = headers.get(b"x-request-id")
        request_id = (
            given_id
            if given_id is not None and _REQUEST_ID.fullmatch(given_id)
            else b"%024x" % getrandbits(96)  # unique, not secret: a system call less
        )
        route, status = _UNKNOWN_ROUTE, _GONE
        self._metrics.requests_running += 1
        try:
            answer: Answer | Raw
            try:
                endpoint, path = self._router.match(method, path_of(scope))
                route = endpoint.path
                request: Request[Any] = Request(
                    scope, receive, self._services, headers, endpoint, path
                )
                await self._guards[endpoint.access](request)
                with log_context(**_log_fields(request, request_id)):
                    if endpoint.decoder is not None:
                        request.body = await request.read(endpoint.decoder)
                    answer = await endpoint.handler(request)
            except WireError as error:
                answer = _refuse(error, method, request_id.decode())
            except ClientDisconnected:
                return
            except Exception as error:
                answer = self._apologise(error, method, route, request_id.decode())
            status = answer.status
            await self._send(scope, send, headers, answer, request_id)
        finally:
            self._metrics.requests_running -= 1
            known = method if method in _METHODS else "OTHER"
            self._metrics.observe(known, route, status, time.perf_counter() - started)

    async def _send(
        self,
        scope: Scope,
        send: Send,
        request_headers: dict[bytes, bytes],
        answer: Answer | Raw,
        request_id: bytes,
    ) -> None:
        body, media_type = encode(answer, request_headers.get(b"accept"))
        headers = [
            (b"content-type", media_type),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id),
            _NO_SNIFF,
            *answer.headers,
        ]
        if isinstance(answer, Answer):
            headers.append(_NO_STORE)
        if scope.get("scheme") == "https" and self._services.api.hsts_max_age:
            headers.append(self._hsts)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})

    def _apologise(self, error: Exception, method: str, route: str, request_id: str) -> Answer:
        self._services.logger.error(
            "a request failed", error=error, method=method, route=route, requestId=request_id
        )
        sorry = ServerError("something went wrong here; the server's log says what")
        return to_answer(sorry, request_id)

    # Who may come in

    async def _admit_anybody(self, request: Request[Any]) -> None:
        if request.endpoint.limited:
            self._count(request, None)

    async def _admit_application(self, request: Request[Any]) -> None:
        self._count(request, None)
        request.application = self._services.applications.get(request.app_id())

    async def _admit_users(self, request: Request[Any]) -> None:
        application = request.application = self._services.applications.get(request.app_id())
        if application.auth is None:
            self._count(request, None)
        else:
            await self._identify(request, request.token())

    async def _admit_to_models(self, request: Request[Any]) -> None:
        app_id = request.app_id()
        application = request.application = self._services.applications.get(app_id)
        token = request.token()
        if token is None and application.auth is None:
            self._count(request, None)
            request.identity = Identity(app_id)
            return
        await self._identify(request, token)

    async def _admit_device(self, request: Request[Any]) -> None:
        request.application = self._services.applications.get(request.app_id())
        await self._identify(request, request.token())

    async def _identify(self, request: Request[Any], token: str | None) -> None:
        sessions, app_id = self._services.accounts.sessions, request.application.id
        try:
            identity = await sessions.verify(app_id, needed(token))
        except WireError:
            self._count(request, None)
            raise
        self._count(request, identity.device_id)
        request.identity = identity

    async def _admit_administrator(self, request: Request[Any]) -> None:
        self._count(request, None)
        key = needed(request.token()).encode("latin-1")
        if not hmac.compare_digest(key, self._admin_key):
            raise UserAuthenticationFailed("that is not the admin key")

    def _count(self, request: Request[Any], device_id: str | None) -> None:
        if not self._limit.enabled:
            return
        if device_id is not None:
            self._limit.take_device(request.application.id, device_id)
            return
        client = request.scope.get("client")
        self._limit.take(client[0] if client else "")

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = find(self._services.websocket_routes, path_of(scope))
        if app is not None:
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})


def _log_fields(request: Request[Any], request_id: bytes) -> dict[str, str]:
    """What every log record of a request says; `application` is there where the guard knew it."""
    fields = {"requestId": request_id.decode()}
    application = getattr(request, "application", None)
    if application is not None:
        fields["appId"] = application.id
    return fields


def _refuse(error: WireError, method: str, request_id: str) -> Answer | Raw:
    if method == "OPTIONS" and isinstance(error, MethodNotAllowed):
        allow = ", ".join(sorted({*error.allow, "OPTIONS"}))
        return Raw(200, b"", b"text/plain; charset=utf-8", ((b"allow", allow.encode()),))
    return to_answer(error, request_id)


async def _live(receive: Receive, send: Send) -> None:
    """Follow the lifespan protocol; whoever owns the services opens and closes them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
