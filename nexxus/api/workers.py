"""Administration of custom workers' queues, with the admin key."""

from __future__ import annotations

from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import InvalidParameters, ServiceUnavailable

_section = RouteSection("Administration", access=Admission.ADMIN)
ENDPOINTS = _section.endpoints


@_section.route(
    "GET",
    "/admin/workers",
    answers={200: answers.WorkerList},
    errors=(ServiceUnavailable,),
)
async def list_workers(request: Request[None]) -> Answer[answers.WorkerList]:
    """List the configured custom workers with the number of events that wait for each."""
    queues = await request.services.worker_queues.list()
    return Answer(200, answers.WorkerList(data=answers.WorkerItems(items=queues)))


@_section.route(
    "DELETE",
    "/admin/workers/{name}",
    answers={200: answers.Done},
    errors=(InvalidParameters, ServiceUnavailable),
)
async def remove_worker(request: Request[None]) -> Answer[answers.Done]:
    """Remove the queue of a custom worker that is no longer configured, with the events in it."""
    await request.services.worker_queues.remove(request.path["name"])
    return Answer(200, answers.Done(message="worker removed"))
