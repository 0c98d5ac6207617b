"""Push notices: what a device that is away is to learn."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

PushEvent: TypeAlias = Literal["model_created", "model_updated", "model_deleted", "resync"]
"""What has happened; ``resync`` means that something may have been missed."""


class PushNotice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One event for a device that no connection holds.

    `channels` are those of the device's channels that it is about, `model` and `id` name the
    object. With a `title` the push shows it, with its `body`; without, the push is silent. Pushes
    of the same `collapse` replace each other on the device. The text was rendered under
    `application_version`, and must not be shown under a later one, whose roles may differ.
    """

    event: PushEvent
    channels: tuple[str, ...] = ()
    model: str = ""
    id: str = ""
    version: int | None = None
    title: str = ""
    body: str = ""
    collapse: str = ""
    application_version: int = 0


RESYNC: Final = PushNotice("resync")
"""Tells a device that it may have missed something, and has to read its channels again."""
