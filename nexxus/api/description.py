"""The API's description, for programs and for people, and the dashboard."""

from __future__ import annotations

from typing import Any

from nexxus.api import routes
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.pages import page, static_file
from nexxus.api.requests import Request
from nexxus.api.responses import Answer, Raw
from nexxus.errors import NotFound
from nexxus.interfaces.mounts import HttpMount

_described = RouteSection("Description", access=Admission.PUBLIC)
ENDPOINTS = _described.endpoints
"""Served if ``api.docs`` is on."""

_dashboard = RouteSection("Dashboard", access=Admission.PUBLIC)
DASHBOARD = _dashboard.endpoints
"""Anyone may load the page; its data needs the admin key."""


@_described.route("GET", "/openapi.json", answers={200: dict[str, Any]}, documented=False)
async def openapi(request: Request[None]) -> Answer[dict[str, Any]]:
    """Get the OpenAPI document of the routes."""
    from nexxus.api.openapi import describe

    services = request.services
    mounts = [each.mount for each in services.mounted if isinstance(each.mount, HttpMount)]
    return Answer(200, describe(routes.ENDPOINTS, version=services.version, mounts=mounts))


@_described.route("GET", "/asyncapi.json", answers={200: dict[str, Any]}, documented=False)
async def asyncapi(request: Request[None]) -> Answer[dict[str, Any]]:
    """Get the AsyncAPI document of the live connections' frames."""
    from nexxus.api.asyncapi import describe_frames

    return Answer(200, describe_frames(version=request.services.version))


@_described.route("GET", "/docs", answers={200: None}, documented=False)
async def docs(request: Request[None]) -> Raw:
    """Get the page that describes the routes."""
    return page("docs.html", root=request.root, version=request.services.version)


@_dashboard.route("GET", "/admin", answers={200: None}, documented=False)
async def dashboard(request: Request[None]) -> Raw:
    """Get the dashboard: applications, users and live objects."""
    return page("dashboard.html", root=request.root, version=request.services.version)


@_dashboard.route(
    "GET", "/static/{name}", answers={200: None}, documented=False, errors=(NotFound,)
)
async def static(request: Request[None]) -> Raw:
    """Get a file that the pages use."""
    return static_file(request.path["name"])
