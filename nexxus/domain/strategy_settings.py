"""The entries of ``auth.strategies``: which strategy serves an entry, and with what settings.

An entry is served by the strategy of its name, or by the one that its key ``strategy`` names:
an application with two OpenID Connect providers has two entries with ``"strategy": "openid"``.
The other keys are the strategy's settings for this application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nexxus.domain.decoding import convert
from nexxus.domain.misfits import check_keys, misfit

_KIND: Final = "strategy"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ROUTES: Final = frozenset({"exchange", "logout", "refresh", "ticket"})
"""What is not free as a name, because ``/auth/<name>`` is another route."""


def read_entry(
    name: str, entry: Mapping[str, Any], types: Mapping[str, type[msgspec.Struct]]
) -> tuple[str, Any]:
    """Return the name of the strategy that serves an entry, and the entry's checked settings.

    `types` has the type of each installed strategy's settings. Raises `InvalidParameters`, which
    names the entry and the key, for a strategy that is not installed and for settings that do not
    fit.
    """
    where = f"auth.strategies.{name[:64]}"
    if not _NAME.fullmatch(name) or name in _ROUTES:
        raise misfit(
            where,
            "expected a name of 1 to 64 characters of a-z A-Z 0-9 _ -, the first a letter or a "
            f"digit, and none of {', '.join(sorted(_ROUTES))}",
        )
    kind = entry.get(_KIND, name)
    settings = {key: value for key, value in entry.items() if key != _KIND}
    known = types.get(kind) if isinstance(kind, str) else None
    if known is None:
        place = where if _KIND not in entry else f"{where}.{_KIND}"
        raise misfit(
            place,
            f"there is no strategy {str(kind)[:64]!r} here; choose from "
            f"{', '.join(sorted(types))}, or install its plugin",
        )
    check_keys(settings, known.__struct_encode_fields__, where)
    return kind, convert(settings, known, where)
