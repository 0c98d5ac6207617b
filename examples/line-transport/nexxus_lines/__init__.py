"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl


def _create(settings: Any, context: AdapterContext) -> Any:  # noqa: ARG001
    from nexxus_lines.transport import LineTransport

    return LineTransport(settings)


@hookimpl
def nexxus_transports() -> list[Adapter]:
    return [
        Adapter("lines", "nexxus_lines.settings:LineSettings", _create, "a JSON document per line")
    ]
