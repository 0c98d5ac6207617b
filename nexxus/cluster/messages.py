"""Messages between nodes: to a gateway, about events and devices, and to a node itself.

They are sent to mailboxes: each node has one for every transport that it serves, and one for
itself.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from nexxus.domain.objects import Document
from nexxus.domain.operations import OperationError
from nexxus.domain.verdicts import Verdicts
from nexxus.interfaces.broker import Mailbox


class Delivery(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="delivery"):
    """One event for one node, with the verdicts for the routing keys that have subscribers there.

    `patches` are present if a verdict is `UPDATED` and clients can apply them; `object` is present
    if a verdict is `CREATED`, or `UPDATED` without patches. `event_id` identifies an event without
    a version, and is empty otherwise. `accepted_at` is when the write was accepted, in UNIX
    milliseconds, 0 if unknown. A delivery `is_late` if the node began to serve its keys while the
    event was sent to other nodes: it is then for the devices that came from those.
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
    """A device's operation was rejected; the device's node notifies it."""

    app_id: str
    device_id: str
    operation_id: str
    error: OperationError


class Outcome(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="outcome"):
    """The outcome of an operation, for the node that waits for it.

    `document` is the stored object, or ``{id, type, version}`` for a delete; None if rejected.
    """

    operation_id: str
    document: Document | None = None
    error: OperationError | None = None


class SessionEnded(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="session_ended"
):
    """The device's session has ended; its connection is closed as logged out.

    A connection of another session stays: the device may have signed in again.
    """

    app_id: str
    device_id: str
    session_id: str


class ConnectionReplaced(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="connection_replaced"
):
    """Another node holds the device now; `connection_id` is closed as replaced."""

    app_id: str
    device_id: str
    connection_id: str


class ReplyTo(msgspec.Struct, frozen=True):
    """The node that waits for the answer to a message, and the answer's id there."""

    node: str
    id: str


class Acknowledged(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="acknowledged"
):
    """The request of the message `id` was carried out, or failed with `error`.

    `missed` answers a `HandoverAsked`: the deliveries that the device has missed, oldest first,
    each with the routing keys that concern it; None if the node does not know.
    """

    id: str
    error: OperationError | None = None
    missed: list[Delivery] | None = None


class SubscriptionChanged(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="subscription_changed"
):
    """The device's subscriptions in the registry changed; its node reads them again.

    `channel_id` is the one that was just made, None for any other change.
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

    The node sends it to itself: the device can only have missed messages that arrived before it.
    """

    app_id: str
    device_id: str
    after: int


class ApplicationChanged(
    msgspec.Struct, frozen=True, rename="camel", tag_field="kind", tag="application_changed"
):
    """The application was created, replaced or deleted; the node loads it again."""

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
"""A message to a node's gateway for a transport."""

NodeMessage: TypeAlias = Outcome | ApplicationChanged | Acknowledged
"""A message to a node itself, whatever its roles."""


def gateway_mailbox(transport: str, node: str) -> Mailbox[GatewayMessage]:
    """Return the mailbox of a node's gateway, such as ``websockets-transport.<node>``."""
    return Mailbox(f"{transport}-transport.{node}", GatewayMessage)


def node_mailbox(node: str) -> Mailbox[NodeMessage]:
    """Return the mailbox of a node itself, ``node.<node>``."""
    return Mailbox(f"node.{node}", NodeMessage)
