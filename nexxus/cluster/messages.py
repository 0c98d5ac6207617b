"""Messages between nodes: what a gateway is told of events and devices, and what a node is told.

They travel through mailboxes: one per transport that a node serves, and one of the node's own.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from nexxus.domain.objects import Document
from nexxus.domain.operations import OperationError
from nexxus.domain.verdicts import Verdicts
from nexxus.interfaces.broker import Mailbox


class Delivery(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="delivery"):
    """One event for one node: what it means for the routing keys that have subscribers there.

    `patches` are present if a verdict is `UPDATED` and clients can apply them; `object` is present
    if a verdict is `CREATED`, or `UPDATED` without patches. `event_id`
    identifies an event without a version, and is empty otherwise. `accepted_at` is when the write
    was accepted, in UNIX milliseconds, 0 if that is not known. A delivery `is_late` if the node
    got its keys only while the event was sent to others: then it is for the devices that brought
    a key from there.
    """

    app_id: str
    type: str
    id: str
    version: int | None
    user_id: str | None = None
    object: Document | None = None
    patches: list[dict[str, Any]] = []
    verdicts: Verdicts = {}
    event_id: str = ""
    accepted_at: int = 0
    is_late: bool = False

    @property
    def moment(self) -> tuple[str, int]:
        """The object or event, and the place of this delivery among its deliveries, ascending."""
        return (self.event_id or self.id, self.version or 0)


class Rejection(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="rejection"):
    """Tells a device on this node that its operation was rejected."""

    app_id: str
    device_id: str
    operation_id: str
    error: OperationError


class Outcome(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="outcome"):
    """Tells the node that waits for an operation what became of it.

    `document` is the stored object, for a delete ``{id, type, version}``; None if rejected.
    """

    operation_id: str
    document: Document | None = None
    error: OperationError | None = None


class SessionEnded(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="session_ended"
):
    """The device's connection on this node is to be closed as logged out.

    Only if it is of that session: the device may have signed in anew by now.
    """

    app_id: str
    device_id: str
    session_id: str


class ConnectionReplaced(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="connection_replaced"
):
    """Another node holds the device now; `connection_id` here is to be closed as replaced."""

    app_id: str
    device_id: str
    connection_id: str


class ReplyTo(msgspec.Struct, frozen=True):
    """The node that waits for the answer to a message, and what it is to be called there."""

    node: str
    id: str


class Acknowledged(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="acknowledged"
):
    """What the message `id` asked for is done, or `error` says why it cannot be.

    `missed` answers a `HandoverAsked`: what the device has missed, oldest first, each with the
    routing keys that it is to be told of; None where the node cannot say.
    """

    id: str
    error: OperationError | None = None
    missed: list[Delivery] | None = None


class SubscriptionChanged(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="subscription_changed"
):
    """The device's subscriptions in the registry changed; its node is to read them anew.

    `channel_id` is the one that was just made, None where it was another change.
    """

    app_id: str
    device_id: str
    channel_id: str | None = None
    reply_to: ReplyTo | None = None


class HandoverAsked(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="handover_asked"
):
    """Another node serves the device from now on, under the routing keys `keys`.

    It asks for what the device has missed since its `cursor`, which is this node's.
    """

    app_id: str
    device_id: str
    cursor: str
    keys: list[str]
    reply_to: ReplyTo | None = None


class DeviceWentAway(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="device_went_away"
):
    """A persistent device of this node is away since the sequence number `after`.

    The node sends it to itself: what arrived before it is all that the device may have missed.
    """

    app_id: str
    device_id: str
    after: int


class ApplicationChanged(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="application_changed"
):
    """The application was created, replaced or deleted; read it anew."""

    app_id: str
    reply_to: ReplyTo | None = None


GatewayMessage: TypeAlias = (
    Delivery
    | Rejection
    | SessionEnded
    | ConnectionReplaced
    | SubscriptionChanged
    | HandoverAsked
    | DeviceWentAway
)
"""What is sent to a node's gateway for a transport."""

NodeMessage: TypeAlias = Outcome | ApplicationChanged | Acknowledged
"""What is sent to a node itself, whatever its roles."""


def gateway_mailbox(transport: str, node: str) -> Mailbox[GatewayMessage]:
    """The mailbox of a node's gateway for a transport, such as ``websockets-transport.<node>``."""
    return Mailbox(f"{transport}-transport.{node}", GatewayMessage)


def node_mailbox(node: str) -> Mailbox[NodeMessage]:
    """The mailbox of the node itself, ``node.<node>``."""
    return Mailbox(f"node.{node}", NodeMessage)
