"""Health: whether the process is alive and ready, and its metrics."""

from __future__ import annotations

from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.pages import page
from nexxus.api.requests import Request
from nexxus.api.responses import Answer, Raw
from nexxus.errors import ServiceUnavailable

_section = RouteSection("Health", access=Admission.PUBLIC)
ENDPOINTS = _section.endpoints


@_section.route("GET", "/", answers={200: answers.Greeting})
async def greet(request: Request[None]) -> Answer[answers.Greeting] | Raw:
    """Get the server's name and version; a browser gets a page with links."""
    services = request.services
    if b"text/html" in request.headers.get(b"accept", b""):
        return page(
            "landing.html",
            root=request.root,
            version=services.version,
            demo=services.demo_url.removeprefix("/"),
        )
    return Answer(200, answers.Greeting(message="Nexxus", version=services.version))


@_section.route("GET", "/healthz", answers={200: answers.Done}, limited=False)
async def live(request: Request[None]) -> Answer[answers.Done]:  # noqa: ARG001
    """Check whether the process is alive."""
    return Answer(200, answers.Done(message="alive"))


@_section.route(
    "GET",
    "/readyz",
    answers={200: answers.Done},
    errors=(ServiceUnavailable,),
    limited=False,
)
async def ready(request: Request[None]) -> Answer[answers.Done]:
    """Check whether every backing service responds, and name those that do not."""
    problems = await request.services.readiness()
    if problems:
        described = "; ".join(f"{name}: {problem}" for name, problem in sorted(problems.items()))
        raise ServiceUnavailable(f"not ready: {described}", dict(problems))
    return Answer(200, answers.Done(message="ready"))


@_section.route(
    "GET",
    "/metrics",
    answers={200: None},
    media_type="text/plain",
    limited=False,
)
async def metrics(request: Request[None]) -> Raw:
    """Get the process's metrics, in Prometheus' text format or OpenMetrics."""
    accept = request.headers.get(b"accept", b"").decode("latin-1")
    body, media_type = await request.services.metrics(accept)
    return Raw(200, body, media_type.encode())
