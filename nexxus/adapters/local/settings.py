"""What an application can set for ``local``: nothing."""

from __future__ import annotations

import msgspec


class LocalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No settings; rules for passwords are the application's, whatever the strategy."""
