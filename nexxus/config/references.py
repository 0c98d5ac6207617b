"""References: ``${vault:db#password}`` in a setting stands for a provider's value.

``$${`` is an escaped ``${`` that does not begin a reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

_PATTERN: Final = re.compile(r"\$(\$?)\{([^{}]*)\}")
_REFERENCE: Final = re.compile(r"([A-Za-z0-9._-]+):(.+)", re.DOTALL)


class Reference(NamedTuple):
    """A provider's name, and what to look up in it."""

    provider: str
    rest: str

    def __str__(self) -> str:
        return f"${{{self.provider}:{self.rest}}}"


def references_in(text: str) -> list[Reference]:
    """Return the references in a text, in order. Raises `ValueError` for a malformed one."""
    return [_parse(match) for match in _PATTERN.finditer(text) if not match.group(1)]


def is_reference(text: str) -> bool:
    """Return whether a text is exactly one reference."""
    match = _PATTERN.fullmatch(text)
    return match is not None and not match.group(1)


def replace(text: str, resolve: Callable[[Reference], str]) -> str:
    """Return the text with its references resolved. Raises `ValueError` for a malformed one."""

    def replacement(match: re.Match[str]) -> str:
        return match.group(0)[1:] if match.group(1) else resolve(_parse(match))

    return _PATTERN.sub(replacement, text)


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text within nested mappings and lists, with its path below `value`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, str(index)))


def replace_leaves(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of nested mappings and lists in which every text is changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: replace_leaves(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_leaves(item, change) for item in value]
    return value


def _parse(match: re.Match[str]) -> Reference:
    parts = _REFERENCE.fullmatch(match.group(2))
    if parts is None:
        raise ValueError(
            f"{match.group(0)} is not a valid reference: write ${{provider:reference}}, such as "
            f"${{env:NAME}} or ${{file:/path}}, or $${{…}} for the literal text"
        )
    return Reference(*parts.groups())
