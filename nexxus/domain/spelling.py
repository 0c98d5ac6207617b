"""Suggestions for names that a client has misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from typing import Final

_LONGEST: Final = 64
"""Characters of a name that are compared: a client may send a key of a megabyte."""

_CANDIDATES: Final = 200


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to `name`, or None if none is similar."""
    near = difflib.get_close_matches(name[:_LONGEST], islice(known, _CANDIDATES), 1)
    return near[0] if near else None


def hint(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests the nearest name, or an empty string."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"
