"""Devices: the calling device, and the user's other devices."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from nexxus.accounts.devices import DeviceDescription
from nexxus.accounts.sessions import Tokens
from nexxus.api import answers
from nexxus.api.endpoints import Admission, RouteSection
from nexxus.api.requests import Request
from nexxus.api.responses import Answer
from nexxus.errors import (
    InvalidAuthMethod,
    InvalidParameters,
    NotFound,
)
from nexxus.interfaces.registry import Device

_section = RouteSection("Devices", access=Admission.DEVICE)
ENDPOINTS = _section.endpoints


class DeviceName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a new device."""

    name: str


class DeviceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The changes. `push` has the `service` and what that needs; null stops pushes."""

    name: str | UnsetType = UNSET
    push: dict[str, Any] | UnsetType | None = UNSET


@_section.route(
    "POST",
    "/device/register",
    body=DeviceName,
    answers={200: answers.DeviceSession},
    errors=(InvalidAuthMethod,),
    access=Admission.USERS,
)
async def register(request: Request[DeviceName]) -> Answer[answers.DeviceSession]:
    """Register a device and begin its session; with users, it belongs to the calling user."""
    services, application, name = request.services, request.application, request.body.name
    if application.auth is not None:
        added = await services.accounts.users.add_device(application, request.identity, name)
        return _registered(added.device, added.tokens)
    device = await services.accounts.devices.register(application, name, None)
    return _registered(device, await services.accounts.sessions.begin(application, device, None))


@_section.route("GET", "/device", answers={200: DeviceDescription}, errors=(NotFound,))
async def get(request: Request[None]) -> Answer[DeviceDescription]:
    """Get the calling device."""
    return Answer(200, await request.services.accounts.devices.get(request.identity))


@_section.route(
    "PUT", "/device", body=DeviceChange, answers={200: answers.Done}, errors=(NotFound,)
)
async def update(request: Request[DeviceChange]) -> Answer[answers.Done]:
    """Rename the calling device, or set how it is sent pushes while it is away."""
    devices, change = request.services.accounts.devices, request.body
    if change.name is UNSET and change.push is UNSET:
        raise InvalidParameters("expected 'name', 'push' or both", {"field": "name"})
    if change.push is not UNSET:
        await devices.set_push(request.identity, change.push)
    if change.name is not UNSET:
        await devices.rename(request.identity, change.name)
    return Answer(200, answers.Done(message="device updated"))


@_section.route(
    "GET",
    "/push/vapid",
    answers={200: answers.PushKey},
    errors=(NotFound,),
    access=Admission.APPLICATION,
)
async def get_push_key(request: Request[None]) -> Answer[answers.PushKey]:
    """Get the public key with which browsers subscribe to Web Push."""
    return Answer(200, answers.PushKey(key=request.services.accounts.devices.public_key()))


@_section.route("GET", "/device/list", answers={200: answers.DeviceList}, errors=(NotFound,))
async def list_devices(request: Request[None]) -> Answer[answers.DeviceList]:
    """List the user's devices; without users, only the calling device."""
    devices = await request.services.accounts.devices.list(request.identity)
    return Answer(200, answers.DeviceList(devices=devices))


def _registered(device: Device, tokens: Tokens) -> Answer[answers.DeviceSession]:
    answer = answers.DeviceSession(
        message="device registered",
        device=answers.RegisteredDevice(
            id=device.id,
            name=device.name,
            app_id=device.app_id,
            user_id=UNSET if device.user_id is None else device.user_id,
        ),
        token=tokens.token,
        refresh_token=tokens.refresh_token,
    )
    return Answer(200, answer)
