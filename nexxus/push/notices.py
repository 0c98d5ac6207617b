"""Notices: what is pushed to an away device about an event, by its application's rules."""

from __future__ import annotations

import time
from typing import Final

from nexxus.cluster.away_events import AwayEvent
from nexxus.domain.application import Application
from nexxus.domain.objects import Document, ObjectKey
from nexxus.domain.push_rules import Occasion, PushRule
from nexxus.domain.pushes import PushEvent, PushNotice
from nexxus.domain.verdicts import Verdict
from nexxus.interfaces.database import Database

_OCCASIONS: Final[dict[Verdict, Occasion]] = {
    Verdict.CREATED: "created",
    Verdict.UPDATED: "updated",
    Verdict.LEFT: "deleted",
    Verdict.DENIED: "deleted",
    Verdict.DELETED: "deleted",
}

_EVENTS: Final[dict[Occasion, PushEvent]] = {
    "created": "model_created",
    "updated": "model_updated",
    "deleted": "model_deleted",
}


class Objects:
    """The object of an event, before and after it.

    An event that a gateway has passed on may lack the object. The stored object is then used, if it
    still has the event's version.
    """

    def __init__(self, event: AwayEvent, database: Database, application: Application) -> None:
        self._event = event
        self._database = database
        self._application = application
        self._stored: Document | None = None
        self._is_read = False

    async def find(self, occasion: Occasion) -> Document | None:
        """Return the object that a channel shows, or has shown before it was gone from there."""
        if occasion == "deleted":
            return self._event.before
        return self._event.after or await self._read()

    async def _read(self) -> Document | None:
        delivery = self._event.delivery
        model = self._application.models.get(delivery.type)
        if not self._is_read and model is not None and not model.transient:
            key = ObjectKey(delivery.app_id, delivery.type, delivery.id)
            (record,) = await self._database.load([key])
            if record is not None and record.version == delivery.version:
                self._stored = record.document
            self._is_read = True
        return self._stored


async def make_notice(
    rule: PushRule | None, verdict: Verdict, key: str, event: AwayEvent, objects: Objects
) -> PushNotice | None:
    """Return the notice for the away devices of a routing key; None if the rule says no push.

    If access control has taken the object away, the push is silent.
    """
    delivery = event.delivery
    occasion = _OCCASIONS[verdict]
    notice = PushNotice(
        event=_EVENTS[occasion],
        route=key,
        model=delivery.type,
        id=delivery.id,
        version=delivery.version,
        at=int(time.time()),
    )
    if rule is None or verdict is Verdict.DENIED:
        return notice
    if occasion not in rule.on:
        return None
    document = await objects.find(occasion)
    if document is None:  # not known any more: the application is woken up to look
        return notice
    if not rule.matches(document):
        return None
    return PushNotice(
        event=notice.event,
        route=key,
        model=notice.model,
        id=notice.id,
        version=notice.version,
        at=notice.at,
        title=rule.title.render(document),
        body=rule.body.render(document),
        collapse=rule.collapse.render(document),
    )
