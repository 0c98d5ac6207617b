"""Misfits: what is wrong in an application document, and where in it.

Every complaint is a 400 whose message begins with the dotted place, which is also its ``field``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from nexxus.errors import InvalidParameters


def misfit(where: str, problem: str) -> InvalidParameters:
    """The error for what is at `where`."""
    return InvalidParameters(f"{where}: {problem}", {"field": where})


def check_keys(document: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise `InvalidParameters` for a key that is not `known`, naming the one that was meant.

    `where` is empty for the document itself.
    """
    for key in document:
        if key not in known:
            # A client may send a key of a megabyte.
            shown = key[:64]
            near = difflib.get_close_matches(shown, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            place = f"{where}.{shown}" if where else shown
            raise misfit(place, f"there is no such key here; {hint}")
