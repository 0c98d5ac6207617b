"""The API as an ASGI application: from a request to its endpoint, and back.

Requests pass through middleware only if the configuration requires it, because every microsecond
here is added to every write.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from nexxus.api import description, health
from nexxus.api.answering import GONE, Answering, path_of, request_id_of
from nexxus.api.bodies import ClientDisconnected
from nexxus.api.credentials import needed
from nexxus.api.endpoints import Admission, Endpoint
from nexxus.api.mounts import MountServer, MountServices, MountTable, SessionAuthentication
from nexxus.api.requests import Request
from nexxus.api.responses import AnyAnswer
from nexxus.api.routes import ENDPOINTS
from nexxus.api.routing import Router
from nexxus.api.services import Services
from nexxus.domain.identity import Identity
from nexxus.errors import ConfigurationError, UserAuthenticationFailed, WireError
from nexxus.interfaces.logger import log_context

_EXPOSED: Final = ("nxx-operation-id", "retry-after", "x-request-id")
_UNKNOWN_ROUTE: Final = "(none)"


def build_api(services: Services) -> ASGIApp:
    """Build the ASGI application with the contract's routes and the transports' mounts."""
    shown = description.ENDPOINTS if services.settings.docs else []
    endpoints = (*ENDPOINTS, *shown, *description.DASHBOARD)
    return _behind_proxies(_Api(services, endpoints, MountTable(services.mounted)), services)


def build_gateway_api(services: Services) -> ASGIApp:
    """Build the application of the gateway's port: health, metrics and the transports' mounts."""
    table = MountTable(services.mounted, is_gateways=True)
    return _behind_proxies(_Api(services, health.ENDPOINTS, table), services)


def build_health_api(services: Services) -> ASGIApp:
    """Build the application of the health port: health and metrics."""
    return _Api(services, health.ENDPOINTS, MountTable(()))


def _behind_proxies(app: ASGIApp, services: Services) -> ASGIApp:
    """Return the application with the configured middleware."""
    origins = services.settings.cors_origins
    if origins:
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("*",),
            # For the cookie with which a browser reconnects to an event stream; nothing else reads
            # cookies.
            allow_credentials="*" not in origins,
            expose_headers=_EXPOSED,
            max_age=86_400,
        )
    if services.settings.trusted_proxies:
        app = ProxyHeadersMiddleware(app, trusted_hosts=list(services.settings.trusted_proxies))  # type: ignore[arg-type,assignment]
    return app


class _Api:
    def __init__(
        self, services: Services, endpoints: Iterable[Endpoint], table: MountTable
    ) -> None:
        self._services = services
        self._router = Router(tuple(endpoints))
        _check_paths(table, self._router)
        self._answering = Answering(
            metrics=services.http_metrics,
            logger=services.logger,
            hsts_max_age=services.settings.hsts_max_age,
        )
        self._mounts = MountServer(
            table,
            MountServices(
                answering=self._answering,
                authentication=SessionAuthentication(
                    applications=services.applications,
                    sessions=services.accounts.sessions,
                    tickets=services.accounts.tickets,
                ),
                rate_limit=services.rate_limit,
                body_limit=services.settings.body,
                origins=services.settings.cors_origins,
            ),
        )
        self._metrics = services.http_metrics
        self._limit = services.rate_limit
        self._admin_key = services.admin_key.encode()
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
            await self._mounts.connect(scope, receive, send)
        elif kind == "lifespan":
            await _live(receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path = path_of(scope)
        mounted = self._mounts.find(scope, path, headers)
        if mounted is not None:
            await self._mounts.serve(mounted, scope, receive, send, headers)
            return
        started = time.perf_counter()
        method: str = scope["method"]
        request_id = request_id_of(headers)
        route, status = _UNKNOWN_ROUTE, GONE
        self._metrics.requests_running += 1
        try:
            answer: AnyAnswer
            try:
                endpoint, parameters = self._router.match(method, path)
                route = endpoint.path
                request: Request[Any] = Request(
                    scope, receive, self._services, headers, endpoint, parameters
                )
                await self._guards[endpoint.access](request)
                with log_context(**_log_fields(request, request_id)):
                    if endpoint.decoder is not None:
                        request.body = await request.read(endpoint.decoder)
                    answer = await endpoint.handler(request)
            except WireError as error:
                answer = self._answering.refuse(error, method, request_id)
            except ClientDisconnected:
                return
            except Exception as error:
                answer = self._answering.log_and_hide(error, method, route, request_id)
            status = answer.status
            await self._answering.send(scope, send, headers, answer, request_id)
        finally:
            self._metrics.requests_running -= 1
            self._answering.observe(method, route, status, started)

    # Admission

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
            raise UserAuthenticationFailed("the admin key is wrong")

    def _count(self, request: Request[Any], device_id: str | None) -> None:
        if not self._limit.enabled:
            return
        if device_id is not None:
            self._limit.take_device(request.application.id, device_id)
            return
        client = request.scope.get("client")
        self._limit.take(client[0] if client else "")


def _log_fields(request: Request[Any], request_id: bytes) -> dict[str, str]:
    """Return the fields of a request's log records; `appId` only if the guard found it."""
    fields = {"requestId": request_id.decode()}
    application = getattr(request, "application", None)
    if application is not None:
        fields["appId"] = application.id
    return fields


def _check_paths(table: MountTable, router: Router) -> None:
    """Raise `ConfigurationError` for a mount at a path of the API."""
    for path, mounted in table.http.items():
        if router.knows(path):
            raise ConfigurationError(
                f"gateway.transports: {mounted.host.transport!r} serves {path}, which is a route "
                "of the API; remove the transport, or change its path"
            )


async def _live(receive: Receive, send: Send) -> None:
    """Follow the lifespan protocol; the owner of the services opens and closes them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
