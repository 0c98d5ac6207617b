"""The API's description of itself, for programs and for people, and the dashboard."""

from __future__ import annotations

from nexxus.api import routes
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.pages import page, static_file
from nexxus.api.requests import Request
from nexxus.api.responses import Answer, Raw
from nexxus.errors import NotFound

_described = RouteSection("Description", access=Admission.PUBLIC)
ENDPOINTS = _described.endpoints
"""Served where ``api.docs`` is on."""

_dashboard = RouteSection("Dashboard", access=Admission.PUBLIC)
DASHBOARD = _dashboard.endpoints
"""The page itself is for anybody; what it shows needs the admin key."""


@_described.route("GET", "/openapi.json", answers={200: None}, documented=False)
async def openapi(request: Request[None]) -> Answer:
    """The routes, as an OpenAPI document."""
    from nexxus.api.openapi import describe

    return Answer(200, describe(routes.ENDPOINTS, version=request.services.version))


@_described.route("GET", "/asyncapi.json", answers={200: None}, documented=False)
async def asyncapi(request: Request[None]) -> Answer:
    """The WebSocket's frames, as an AsyncAPI document."""
    from nexxus.api.asyncapi import describe_frames

    return Answer(200, describe_frames(version=request.services.version))


@_described.route("GET", "/docs", answers={200: None}, documented=False)
async def docs(request: Request[None]) -> Raw:
    """The routes, as a page."""
    return page("docs.html", root=request.root, version=request.services.version)


@_dashboard.route("GET", "/admin", answers={200: None}, documented=False)
async def dashboard(request: Request[None]) -> Raw:
    """Applications, users and live objects, for whoever has the admin key."""
    return page("dashboard.html", root=request.root, version=request.services.version)


@_dashboard.route(
    "GET", "/static/{name}", answers={200: None}, documented=False, errors=(NotFound,)
)
async def static(request: Request[None]) -> Raw:
    """What the pages are made of."""
    return static_file(request.path["name"])
