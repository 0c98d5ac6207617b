"""Names of indices and aliases.

Elasticsearch accepts lower case only and refuses about a dozen characters. `encode` is injective
and keeps most names readable: ``lineItem`` becomes ``line_item``. The parts of an index's name are
separated by dots, which no encoded name contains.
"""

from __future__ import annotations

import hashlib
from typing import Final

_LONGEST: Final = 90
"""Characters of one part; a whole name may have 255 bytes."""

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def encode(name: str) -> str:
    """Return `name` in characters that an index name may have. Distinct names stay distinct.

    Capital letters are written small behind ``_``, and ``_`` is doubled; whatever else is not
    plain is its code point between two ``+``. What becomes too long is cut, with its digest.
    """
    encoded = "".join(map(_encode_character, name))
    if len(encoded) <= _LONGEST:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{encoded[: _LONGEST - 33]}~{digest}"


def index_of(prefix: str, app_id: str, model: str) -> str:
    """The index of an application's model."""
    return f"{prefix}.{encode(app_id)}.{encode(model)}"


def indices_of(prefix: str, app_id: str) -> str:
    """A pattern for all indices of an application."""
    return f"{prefix}.{encode(app_id)}.*"


def all_indices(prefix: str) -> str:
    """A pattern for all indices."""
    return f"{prefix}.*.*"


def write_alias(index: str, digest: str) -> str:
    """The alias through which an index is written in the layout of that digest."""
    return f"{index}.w-{digest}"


def is_write_alias(index: str, alias: str) -> bool:
    """Whether an alias of `index` is one of `write_alias`."""
    return alias.startswith(f"{index}.w-")


def _encode_character(character: str) -> str:
    if character in _PLAIN:
        return character
    if character == "_":
        return "__"
    if "A" <= character <= "Z":
        return f"_{character.lower()}"
    return f"+{ord(character):x}+"
