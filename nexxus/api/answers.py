"""The bodies of responses, as routes build them and ``/openapi.json`` describes them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from nexxus.accounts.devices import DeviceDescription
from nexxus.cluster.dead_letters import DeadLetter
from nexxus.cluster.worker_queues import WorkerQueue
from nexxus.domain.objects import Document
from nexxus.domain.operations import OperationError, State
from nexxus.objects.replies import (
    Channel,
    ChannelPage,
    Count,
    Created,
    Items,
    QueuedOperation,
)


class Shape(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The base class of responses, and of the frames in `/asyncapi.json`."""


class ErrorBody(Shape, frozen=True, kw_only=True):
    """An error. `details` names the field and the rule, where that helps."""

    error: str
    message: str
    details: dict[str, Any] | UnsetType = UNSET
    request_id: str


class Done(Shape, frozen=True, kw_only=True):
    """A confirmation."""

    message: str


class Greeting(Shape, frozen=True, kw_only=True):
    """The name and the version of the server."""

    message: str
    version: str


class SessionDevice(Shape, frozen=True, kw_only=True):
    """The device of a session."""

    id: str
    name: str


class SessionUser(Shape, frozen=True, kw_only=True):
    """The user of a session."""

    id: str
    username: str


class SignedIn(Shape, frozen=True, kw_only=True):
    """A session: a short-lived access token, and a refresh token to get the next one."""

    token: str
    refresh_token: str
    device: SessionDevice
    user: SessionUser


class TokenPair(Shape, frozen=True, kw_only=True):
    """The session's next access token and refresh token."""

    token: str
    refresh_token: str


class RegisteredDevice(Shape, frozen=True, kw_only=True):
    """A newly registered device."""

    id: str
    name: str
    app_id: str
    user_id: str | UnsetType = UNSET


class Ticket(Shape, frozen=True, kw_only=True):
    """A ticket that replaces the access token once, as `?ticket=`, within `expiresIn` seconds."""

    ticket: str
    expires_in: int


class DeviceSession(Shape, frozen=True, kw_only=True):
    """A new device and its session."""

    message: str
    device: RegisteredDevice
    token: str
    refresh_token: str


class PushKey(Shape, frozen=True, kw_only=True):
    """A push service's public key."""

    key: str


class DeviceList(Shape, frozen=True, kw_only=True):
    """The user's devices."""

    devices: list[DeviceDescription]


class CreateAccepted(Shape, frozen=True, kw_only=True):
    """The create was accepted and will be applied."""

    message: str
    data: Created


class WriteAccepted(Shape, frozen=True, kw_only=True):
    """The write was accepted and will be applied."""

    message: str
    data: QueuedOperation


class Stored(Shape, frozen=True, kw_only=True):
    """The write was applied; `data` is the object, for a delete its id, type and version."""

    message: str
    data: Document


class Object(Shape, frozen=True, kw_only=True):
    """One object."""

    data: Document


class Found(Shape, frozen=True, kw_only=True):
    """A page of objects."""

    data: Items


class Counted(Shape, frozen=True, kw_only=True):
    """The result of counting."""

    data: Count


class SubscriptionMade(Shape, frozen=True, kw_only=True):
    """The device is subscribed to the channel."""

    data: ChannelPage


class Unsubscribed(Shape, frozen=True, kw_only=True):
    """The subscription has ended."""

    data: Channel


class DeadLetterItems(Shape, frozen=True, kw_only=True):
    """Dead letters."""

    items: list[DeadLetter]


class DeadLetterList(Shape, frozen=True, kw_only=True):
    """A list of dead letters."""

    data: DeadLetterItems


class OneDeadLetter(Shape, frozen=True, kw_only=True):
    """One dead letter."""

    data: DeadLetter


class WorkerItems(Shape, frozen=True, kw_only=True):
    """Custom workers."""

    items: list[WorkerQueue]


class WorkerList(Shape, frozen=True, kw_only=True):
    """A list of custom workers."""

    data: WorkerItems


class OperationFate(Shape, frozen=True, kw_only=True):
    """The state of a write, and why it was rejected, if it was."""

    id: str
    state: State
    version: int | UnsetType = UNSET
    error: OperationError | UnsetType = UNSET


class OperationState(Shape, frozen=True, kw_only=True):
    """The state of a write."""

    data: OperationFate
