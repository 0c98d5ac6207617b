"""Subscriptions to channels."""

from __future__ import annotations

from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import (
    AccessDenied,
    DeviceNotConnected,
    ModelNotFound,
    NotFound,
    ServiceUnavailable,
)
from nexxus.objects.requests import SubscribeRequest, UnsubscribeRequest

_section = RouteSection("Subscriptions", access=Admission.DEVICE)
ENDPOINTS = _section.endpoints


@_section.route(
    "POST",
    "/subscription",
    body=SubscribeRequest,
    answers={200: answers.SubscriptionMade},
    errors=(AccessDenied, ModelNotFound, DeviceNotConnected, ServiceUnavailable),
)
async def subscribe(request: Request[SubscribeRequest]) -> Answer[answers.SubscriptionMade]:
    """Subscribe to a channel and get its first page."""
    page = await request.services.device_subscriptions.subscribe(request.identity, request.body)
    return Answer(200, answers.SubscriptionMade(data=page))


@_section.route(
    "DELETE",
    "/subscription",
    body=UnsubscribeRequest,
    answers={200: answers.Unsubscribed},
    errors=(ModelNotFound, NotFound, ServiceUnavailable),
)
async def unsubscribe(request: Request[UnsubscribeRequest]) -> Answer[answers.Unsubscribed]:
    """Unsubscribe from a channel."""
    channel = await request.services.device_subscriptions.unsubscribe(
        request.identity, request.body
    )
    return Answer(200, answers.Unsubscribed(data=channel))
