"""Misfits: errors in an application document.

Each is a 400 whose message begins with the dotted path of the error, which is also its ``field``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nexxus.domain.spelling import hint
from nexxus.errors import InvalidParameters


def misfit(where: str, problem: str) -> InvalidParameters:
    """Return the error for the value at `where`."""
    return InvalidParameters(f"{where}: {problem}", {"field": where})


def check_keys(document: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise `InvalidParameters` for a key that is not `known`, suggesting the nearest one.

    `where` is empty for the document itself.
    """
    for key in document:
        if key not in known:
            # A client may send a key that is a megabyte long.
            shown = key[:64]
            names = ", ".join(sorted(known))
            suggestion = hint(shown, known) or f"; the known keys are {names}"
            place = f"{where}.{shown}" if where else shown
            raise misfit(place, f"unknown key{suggestion}")
