"""Routing: from a method and a path to an endpoint.

Endpoints are looked up by their first segment and number of segments, so that a request is compared
with only a few patterns. ``/x`` and ``/x/`` are the same path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nexxus.api.endpoints import Endpoint
from nexxus.errors import MethodNotAllowed, NotFound


class Match(NamedTuple):
    """An endpoint, and the values of its path parameters."""

    endpoint: Endpoint
    parameters: dict[str, str]


class _Pattern(NamedTuple):
    endpoints: dict[str, Endpoint]
    literals: list[tuple[int, str]]
    names: list[tuple[int, str]]


class Router:
    """Finds endpoints. If several patterns match, the one with the fewest parameters wins.

    A path without parameters belongs only to its own endpoints: ``GET /auth/refresh`` never means a
    sign-in strategy with that name.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        patterns: dict[str, _Pattern] = {}
        self._table: dict[tuple[str, int], list[_Pattern]] = {}
        for endpoint in endpoints:
            pattern = patterns.get(endpoint.path)
            if pattern is None:
                pattern = patterns[endpoint.path] = _compile(endpoint.path)
                first, *others = _split(endpoint.path)
                bucket = self._table.setdefault((first, 1 + len(others)), [])
                bucket.append(pattern)
                bucket.sort(key=lambda each: len(each.names))
            pattern.endpoints[endpoint.method] = endpoint

    def knows(self, path: str) -> bool:
        """Return whether an endpoint without parameters has exactly this path."""
        segments = _split(path)
        patterns = self._table.get((segments[0], len(segments)), ())
        return any(_fits(pattern, segments) and not pattern.names for pattern in patterns)

    def match(self, method: str, path: str) -> Match:
        """Return the endpoint for a request. Raises `NotFound` or `MethodNotAllowed`.

        HEAD is handled by the endpoint for GET.
        """
        wanted = "GET" if method == "HEAD" else method
        segments = _split(path)
        allowed: set[str] = set()
        for pattern in self._table.get((segments[0], len(segments)), ()):
            if not _fits(pattern, segments):
                continue
            endpoint = pattern.endpoints.get(wanted)
            if endpoint is not None:
                return Match(endpoint, {name: segments[i] for i, name in pattern.names})
            allowed |= pattern.endpoints.keys()
            if not pattern.names:
                break
        if not allowed:
            raise NotFound(f"there is no route {path}")
        if "GET" in allowed:
            allowed.add("HEAD")
        allow = tuple(sorted(allowed))
        raise MethodNotAllowed(f"{path} supports {', '.join(allow)}, not {method}", allow=allow)


def _split(path: str) -> list[str]:
    segments = path.split("/")[1:] or [""]
    if len(segments) > 1 and not segments[-1]:
        segments.pop()
    return segments


def _compile(path: str) -> _Pattern:
    literals, names = [], []
    for i, segment in enumerate(_split(path)):
        if segment.startswith("{"):
            names.append((i, segment[1:-1]))
        else:
            literals.append((i, segment))
    return _Pattern({}, literals, names)


def _fits(pattern: _Pattern, segments: list[str]) -> bool:
    for i, literal in pattern.literals:
        if segments[i] != literal:
            return False
    return all(segments[i] for i, _ in pattern.names)
