"""``/asyncapi.json``: the frames of live connections, as AsyncAPI 3.0."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nexxus.api.answers import Shape
from nexxus.domain.events import EventName
from nexxus.domain.frames import OPERATIONS
from nexxus.domain.objects import Document
from nexxus.domain.operations import OperationError
from nexxus.interfaces.transport import SUBPROTOCOLS
from nexxus.objects.requests import (
    DeleteRequest,
    SubscribeRequest,
    UnsubscribeRequest,
    UpdateRequest,
)

_REF: Final = "#/components/schemas/{name}"


class Register(Shape, frozen=True, kw_only=True):
    """Claims the token's device for this connection; must be the first frame."""

    token: str


class RefreshAccessToken(Shape, frozen=True, kw_only=True):
    """Moves the connection to a newer token of the same device."""

    token: str


class Resume(Shape, frozen=True, kw_only=True):
    """Requests the events missed since a cursor; sent right after `register`."""

    cursor: str


class Ping(Shape, frozen=True, kw_only=True):
    """Asks for a `pong`, at any time: browsers do not see the pings of the protocol."""


class Pong(Shape, frozen=True, kw_only=True):
    """The answer to a `ping`."""


class CreateRequest(Shape, frozen=True, kw_only=True):
    """The fields of a new object, and its model as `type`."""

    type: str


class Registered(Shape, frozen=True, kw_only=True):
    """The connection now holds the device."""

    success: Literal[True]
    cursor: str | UnsetType = UNSET


class Refreshed(Shape, frozen=True, kw_only=True):
    """The connection is valid as long as the newer token."""

    success: Literal[True]


class Resumed(Shape, frozen=True, kw_only=True):
    """All missed events were sent."""

    success: Literal[True]
    cursor: str


class Resync(Shape, frozen=True, kw_only=True):
    """These channels are live from now on and must be read again."""

    channels: list[str]
    cursor: str | UnsetType = UNSET


class EndedSubscriptions(Shape, frozen=True, kw_only=True):
    """These subscriptions have ended, because of a change of the schema or of the roles."""

    channels: list[str]
    error: str
    message: str


class RequestReply(Shape, frozen=True, kw_only=True):
    """The reply to the frame with the same `ref`: what HTTP would respond."""

    status: int
    data: dict[str, Any] | UnsetType = UNSET
    error: OperationError | UnsetType = UNSET


class Fault(Shape, frozen=True, kw_only=True):
    """An error; the connection stays open."""

    code: Literal[
        "TOKEN_EXPIRED",
        "SESSION_ENDED",
        "DEVICE_NOT_FOUND",
        "INVALID_PARAMETERS",
        "INTERNAL_SERVER_ERROR",
        "RATE_LIMITED",
        "OPERATION_REJECTED",
    ]
    message: str
    operation_id: str | UnsetType = UNSET
    error: OperationError | UnsetType = UNSET


class SubscribedEvent(Shape, frozen=True, kw_only=True):
    """The answer to a `subscribe` of the stream's URL: the channel and its first page."""

    channel_id: str | UnsetType = UNSET
    items: list[Document]
    cursor: str | UnsetType = UNSET


class RefusedSubscription(Fault, frozen=True, kw_only=True):
    """Something is wrong; the stream goes on. `subscribe` is the descriptor that was refused."""

    subscribe: dict[str, Any] | UnsetType = UNSET


class CloseEvent(Shape, frozen=True, kw_only=True):
    """The stream ends. After 4001, 4002 and 4003 a reconnect is answered with 204."""

    code: int
    reason: str


class EventMetadata(Shape, frozen=True, kw_only=True):
    """The device's channels that the event is for, and the cursor to resume after it."""

    channels: list[str]
    cursor: str | UnsetType = UNSET


class ChangedObject(Shape, frozen=True, kw_only=True):
    """The object, and its version after the event."""

    id: str
    type: str
    app_id: str
    user_id: str | UnsetType = UNSET
    version: int


class ModelCreated(Shape, frozen=True, kw_only=True):
    """An object appeared in these channels."""

    event: EventName
    model: Document
    metadata: EventMetadata


class ModelUpdated(Shape, frozen=True, kw_only=True):
    """An object changed; the patches turn a copy of the previous version into this one."""

    event: EventName
    model: ChangedObject
    patches: Annotated[list[dict[str, Any]], Meta(description="JsonPatches, in order.")]
    metadata: EventMetadata


class ModelDeleted(Shape, frozen=True, kw_only=True):
    """An object left these channels or was deleted."""

    event: EventName
    model: ChangedObject
    reason: Literal["deleted", "left", "denied"]
    metadata: EventMetadata


_FROM_CLIENT: Final[dict[str, type[msgspec.Struct]]] = {
    "register": Register,
    "refresh_access_token": RefreshAccessToken,
    "resume": Resume,
    "ping": Ping,
    "subscribe": SubscribeRequest,
    "unsubscribe": UnsubscribeRequest,
    "create": CreateRequest,
    "update": UpdateRequest,
    "delete": DeleteRequest,
}
_FROM_SERVER: Final[dict[str, type[msgspec.Struct]]] = {
    "register": Registered,
    "refresh_access_token": Refreshed,
    "resume": Resumed,
    "resync": Resync,
    "unsubscribed": EndedSubscriptions,
    "pong": Pong,
    "reply": RequestReply,
    "error": Fault,
    "model_created": ModelCreated,
    "model_updated": ModelUpdated,
    "model_deleted": ModelDeleted,
}
_FROM_STREAM: Final[dict[str, type[msgspec.Struct]]] = {
    "register": Registered,
    "resume": Resumed,
    "resync": Resync,
    "unsubscribed": EndedSubscriptions,
    "subscribed": SubscribedEvent,
    "error": RefusedSubscription,
    "model_created": ModelCreated,
    "model_updated": ModelUpdated,
    "model_deleted": ModelDeleted,
    "close": CloseEvent,
}


def describe_frames(*, version: str) -> dict[str, Any]:
    """Return the AsyncAPI document of the WebSocket and of the server-sent events."""
    kinds = list(
        dict.fromkeys((*_FROM_CLIENT.values(), *_FROM_SERVER.values(), *_FROM_STREAM.values()))
    )
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_type = dict(zip(kinds, schemas, strict=True))
    frames = {
        f"{side}.{event}": _message(event, kind, by_type)
        for side, events in (("client", _FROM_CLIENT), ("server", _FROM_SERVER))
        for event, kind in events.items()
    }
    stream = {
        f"stream.{event}": _stream_message(event, kind, by_type)
        for event, kind in _FROM_STREAM.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Nexxus",
            "version": version,
            "description": "Live connections: the WebSocket, whose subprotocols are "
            f"{', '.join(SUBPROTOCOLS)}, and server-sent events.",
            "license": {"name": "MPL-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "websocket": _channel("/ws", frames),
            "sse": _channel("/sse", stream),
        },
        "operations": {
            "fromClient": _operation("receive", "websocket", "client", _FROM_CLIENT),
            "fromServer": _operation("send", "websocket", "server", _FROM_SERVER),
            "fromStream": _operation("send", "sse", "stream", _FROM_STREAM),
        },
        "components": {"messages": {**frames, **stream}, "schemas": components},
    }


def _channel(address: str, messages: dict[str, Any]) -> dict[str, Any]:
    references = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {"address": address, "messages": references}


def _stream_message(
    event: str, kind: type[msgspec.Struct], schemas: dict[Any, Any]
) -> dict[str, Any]:
    """An event of a stream: ``event`` is its name, ``data`` its payload, ``id`` its cursor."""
    summary = (kind.__doc__ or "").partition("\n")[0]
    return {"name": event, "summary": summary, "payload": schemas[kind]}


def _message(event: str, kind: type[msgspec.Struct], schemas: dict[Any, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"event": {"const": event}, "data": schemas[kind]}
    if kind is RequestReply or event in OPERATIONS:
        properties["ref"] = {"type": "string"}
    return {
        "name": event,
        "summary": (kind.__doc__ or "").partition("\n")[0],
        "payload": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


def _operation(action: str, channel: str, side: str, frames: dict[str, Any]) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/{channel}/messages/{side}.{event}"} for event in frames]
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "messages": messages}
