"""Messages: one push for all notices that wait for a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from nexxus.domain.channels import channel_of
from nexxus.domain.pushes import PushNotice
from nexxus.interfaces.push_service import PushMessage

MAX_BYTES: Final = 3072
"""The maximum size of a message: services accept 4 KB, including what they add themselves."""

_MAX_CHANNEL_BYTES: Final = 1024


def build_message(notices: Sequence[PushNotice], routes: Mapping[str, str]) -> PushMessage | None:
    """Return the push for a device's notices, oldest first; None if none of them concerns it now.

    `routes` has the current routing key of each of the device's channels, or "" if the channel has
    not been updated to the current roles. The text of a notice with another routing key is not
    shown.
    """
    current = [each for each in notices if not each.route or channel_of(each.route) in routes]
    if not current:
        return None
    shown = [each for each in current if each.title and _is_fit(each, routes)]
    text = shown[-1] if shown else None
    data = _data(current)
    if text is None:
        return PushMessage(data)
    return _cut(PushMessage(data, text.title, text.body, text.collapse))


def _is_fit(notice: PushNotice, routes: Mapping[str, str]) -> bool:
    return routes[channel_of(notice.route)] == notice.route


def _data(notices: Sequence[PushNotice]) -> dict[str, Any]:
    """Return the data of a push: the latest event, the channels of all events, and their number.

    If that is unknown or too large, the data tells the application to read everything again.
    """
    channels = list(dict.fromkeys(channel_of(each.route) for each in notices if each.route))
    if any(each.event == "resync" for each in notices) or _size(channels) > _MAX_CHANNEL_BYTES:
        return {"event": "resync", "channels": []}
    latest = notices[-1]
    data: dict[str, Any] = {
        "event": latest.event,
        "channels": channels,
        "model": latest.model,
        "id": latest.id,
    }
    count = len({(each.model, each.id, each.version) for each in notices})
    if count > 1:
        data["count"] = count
    return data


def _cut(message: PushMessage) -> PushMessage:
    """Shorten the body until the message is small enough."""
    excess = _size(message) - MAX_BYTES
    while excess > 0 and message.body:
        shorter = message.body[: -max(excess // 4, 8)].removesuffix("…")
        message = msgspec.structs.replace(message, body=f"{shorter}…" if shorter else "")
        excess = _size(message) - MAX_BYTES
    return message


def _size(value: PushMessage | Iterable[str]) -> int:
    return len(msgspec.json.encode(value))
