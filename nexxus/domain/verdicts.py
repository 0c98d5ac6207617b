"""Verdicts: what an event means for a channel."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias


class Verdict(IntEnum):
    """What an event means for the audience that a routing key stands for."""

    CREATED = 0
    """The object has become visible, or may have: the event brings all of it."""

    UPDATED = 1
    """The object was visible, and still is."""

    LEFT = 2
    """The object no longer matches the channel's filter."""

    DENIED = 3
    """Access control no longer shows the object."""

    DELETED = 4
    """The object has been deleted."""


Verdicts: TypeAlias = dict[str, Verdict]
"""Routing key → what an event means for it."""

GONE: Final = frozenset({Verdict.LEFT, Verdict.DENIED, Verdict.DELETED})
"""The verdicts after which a channel does not show the object."""


def while_narrowing(former: Verdict) -> Verdict:
    """Return what an event that only concerns a member's former audience means for that member.

    The member is moving to an audience that does not see the object, so the object goes; it never
    comes or changes.
    """
    return former if former in GONE else Verdict.DENIED
