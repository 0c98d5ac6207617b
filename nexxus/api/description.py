"""The API's description of itself, for programs and for people, and the dashboard."""

from __future__ import annotations

from nexxus.api.endpoints import Access, Section
from nexxus.api.pages import page
from nexxus.api.requests import Request
from nexxus.api.responses import Answer, Raw

_described = Section("Description", access=Access.PUBLIC)
ENDPOINTS = _described.endpoints
"""Served where ``api.docs`` is on."""

_dashboard = Section("Dashboard", access=Access.PUBLIC)
DASHBOARD = _dashboard.endpoints
"""The page itself is for anybody; what it shows needs the admin key."""


@_described.route("GET", "/openapi.json", answers={200: None}, documented=False)
async def openapi(request: Request[None]) -> Answer:
    """The routes, as an OpenAPI document."""
    from nexxus.api.app import ENDPOINTS as DESCRIBED
    from nexxus.api.openapi import describe

    return Answer(200, describe(DESCRIBED, version=request.services.version))


@_described.route("GET", "/docs", answers={200: None}, documented=False)
async def docs(request: Request[None]) -> Raw:
    """The routes, as a page."""
    return page("docs.html", version=request.services.version)


@_dashboard.route("GET", "/admin", answers={200: None}, documented=False)
async def dashboard(request: Request[None]) -> Raw:
    """Applications, users and live objects, for whoever has the admin key."""
    return page("dashboard.html", version=request.services.version)


@_dashboard.route("GET", "/static/{name}", answers={200: None}, documented=False)
async def static(request: Request[None]) -> Raw:
    """What the pages are made of."""
    return page(request.path["name"])
