"""Subscriptions: which channels a device may follow, by which routes, and their first pages."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

import msgspec
from msgspec import UNSET

from nexxus.applications.applications import Applications
from nexxus.domain.access import Action
from nexxus.domain.application import Application
from nexxus.domain.channels import SPLIT, Descriptor, Route, Subscription
from nexxus.domain.filters import EVERYTHING, NOTHING, Filter, conjoin, filter_id, to_document
from nexxus.domain.identity import Identity
from nexxus.domain.schema import ModelType
from nexxus.errors import InvalidParameters, NotFound
from nexxus.interfaces.database import Query
from nexxus.objects.queries import FilterLimits, build_query, describe, filter_of, rows_of
from nexxus.objects.reads import Page, Reads, require, stored_model
from nexxus.objects.replies import ChannelPage
from nexxus.objects.requests import SubscribeRequest, UnsubscribeRequest


class Opening(msgspec.Struct, frozen=True):
    """A permitted request for a channel, before it is carried out.

    `subscription` is the subscription to serve, None if the client only reads. `query` is the query
    of the first page, None for a transient model.
    """

    subscription: Subscription | None
    query: Query | None


class Subscriptions:
    """Decides which subscriptions a client may have, and reads their first pages.

    The caller must have the subscription served: a gateway serves it itself, HTTP asks the node
    that holds the device's connection.
    """

    def __init__(
        self,
        *,
        applications: Applications,
        reads: Reads,
        max_per_device: int,
        filter_limits: FilterLimits,
    ) -> None:
        self._applications = applications
        self._reads = reads
        self._max_per_device = max_per_device
        self._filter_limits = filter_limits

    def open(self, identity: Identity, request: SubscribeRequest) -> Opening:
        """Parse a request and check that the client may make it.

        Raises the `WireError` for whatever is wrong with the request.
        """
        application = self._applications.get(identity.app_id)
        model = application.model(request.model)
        access = require(application, identity, Action.SUBSCRIBE, model)
        descriptor = describe(application, model, request.selection, self._filter_limits)
        rows = conjoin(rows_of(descriptor, model), access)
        query = build_query(application, model, rows, request.paging)
        if request.get_only:
            stored_model(application, model.name)
            return Opening(None, query)
        if request.cursor is not None:
            raise InvalidParameters(
                "cursor: a subscription begins with the first page; send it with getOnly",
                {"field": "cursor"},
            )
        if not model.subscribable:
            raise InvalidParameters(f"{model.name} cannot be subscribed to", {"field": "model"})
        channel = channel_id(application.id, descriptor, model, access)
        subscription = Subscription(
            app_id=application.id,
            device_id=identity.device(),
            channel_id=channel,
            descriptor=descriptor,
            route=route_of(channel, application.id, descriptor, model, access),
            user_id=identity.user_id,
            user_type=identity.user_type,
        )
        return Opening(subscription, None if model.transient else query)

    def admit(self, wanted: Subscription, held: Collection[Subscription]) -> Subscription:
        """Return the device's subscription to the channel: the one that it has, or `wanted`.

        `held` are all subscriptions of the device. After a change of roles, two queries may have
        the same channel id. The new one then replaces the other, because to a client a channel is
        one view. Raises `InvalidParameters` if the device has too many subscriptions.
        """
        for subscription in held:
            if subscription.descriptor == wanted.descriptor:
                return subscription
        is_new = all(subscription.channel_id != wanted.channel_id for subscription in held)
        if is_new and len(held) >= self._max_per_device:
            raise InvalidParameters(
                f"the device has {len(held)} subscriptions, which is the limit; "
                "end some, or ask the operator to raise limits.subscriptions",
                {"rule": "limits.subscriptions"},
            )
        return wanted

    async def first_page(
        self, opening: Opening, subscription: Subscription | None = None
    ) -> ChannelPage:
        """Return the channel and its first page.

        To be called when events of the channel reach the device, so that every object missing from
        the page arrives as an event. `subscription` is the subscription that is served.
        """
        page = Page([]) if opening.query is None else await self._reads.page(opening.query)
        return ChannelPage(
            channel_id=UNSET if subscription is None else subscription.channel_id,
            items=page.items,
            cursor=UNSET if page.cursor is None else page.cursor,
        )

    def find(
        self, identity: Identity, request: UnsubscribeRequest, held: Iterable[Subscription]
    ) -> Subscription:
        """Return the one of a device's subscriptions that the request describes.

        Raises `NotFound` if there is none.
        """
        application = self._applications.get(identity.app_id)
        model = application.model(request.model)
        descriptor = describe(application, model, request.selection, self._filter_limits)
        access = application.access.decide(identity.caller, Action.SUBSCRIBE, model.name)
        channel = channel_id(application.id, descriptor, model, access)
        # A narrowed subscription keeps its original channel id.
        held = list(held)
        same = [each for each in held if each.descriptor == descriptor]
        same += [each for each in held if each.channel_id == channel]
        if not same:
            raise NotFound("this device has no such subscription")
        return same[0]


def channel_id(app_id: str, descriptor: Descriptor, model: ModelType, access: Filter) -> str:
    """Return the public name of a channel: that of the client's filter and the role's together."""
    parts = [f"nxx:subscription:{app_id}:{descriptor.model}"]
    if descriptor.id is not None:
        parts.append(descriptor.id)
    if descriptor.user_id is not None:
        parts.append(f"user:{descriptor.user_id}")
    effective = conjoin(filter_of(descriptor, model), access)
    if effective != EVERYTHING:
        parts.append(f"filter:{filter_id(effective)}")
    return ":".join(parts)


def route_of(
    channel: str, app_id: str, descriptor: Descriptor, model: ModelType, access: Filter
) -> Route:
    """Return the route of the devices that follow this channel and may see `access`.

    A channel id that was made under former roles may now also be the id of another query.
    """
    document = None if access == EVERYTHING else to_document(access)
    if document is None and channel == channel_id(app_id, descriptor, model, EVERYTHING):
        return Route(channel, app_id, descriptor)
    split = msgspec.json.encode([descriptor, document], order="deterministic")
    key = f"{channel}{SPLIT}{hashlib.sha256(split).hexdigest()[:16]}"
    return Route(key, app_id, descriptor, document)


def permitted_rows(application: Application, subscription: Subscription) -> Filter:
    """Return what the subscriber may see of the channel's model now."""
    identity = Identity(
        subscription.app_id, user_id=subscription.user_id, user_type=subscription.user_type
    )
    if subscription.descriptor.model not in application.models:
        return NOTHING
    return application.access.decide(
        identity.caller, Action.SUBSCRIBE, subscription.descriptor.model
    )


def rerouted(subscription: Subscription, application: Application) -> Subscription | None:
    """Return the subscription, moving to its route under the current roles.

    Returns it unchanged if it has that route, and None if the roles permit none. Raises
    `InvalidParameters` if it no longer fits the schema.
    """
    model = application.models.get(subscription.descriptor.model)
    if model is None or not model.subscribable:
        return None
    allowed = permitted_rows(application, subscription)
    channel, descriptor = subscription.channel_id, subscription.descriptor
    route = route_of(channel, application.id, descriptor, model, allowed)
    if route == subscription.route:
        return subscription
    return msgspec.structs.replace(subscription, route=route, narrowing_from=subscription.route)
