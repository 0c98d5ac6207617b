"""Push notices: what a device that is away is to learn."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

PushEvent: TypeAlias = Literal["model_created", "model_updated", "model_deleted", "resync"]
"""What has happened; ``resync`` means that something may have been missed."""


class PushNotice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One event for a device that no connection holds.

    `route` is the routing key under which the device is to learn of it, `model` and `id` name the
    object, `at` is when it was noted, in UNIX seconds. With a `title` the push shows it, with its
    `body`, as long as the device's subscription still has that route; otherwise it is silent.
    Pushes of the same `collapse` replace each other on the device.
    """

    event: PushEvent
    route: str = ""
    model: str = ""
    id: str = ""
    version: int | None = None
    at: int = 0
    title: str = ""
    body: str = ""
    collapse: str = ""


RESYNC: Final = PushNotice("resync")
"""Tells a device that it may have missed something, and has to read its channels again."""
