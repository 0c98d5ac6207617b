"""The plugin's hooks. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_lines.settings import LineSettings

if TYPE_CHECKING:
    from nexxus.interfaces.transport import Transport


def _create(settings: LineSettings, context: AdapterContext) -> Transport:
    from nexxus_lines.transport import LineTransport

    return LineTransport(settings)


@hookimpl
def nexxus_transports() -> list[Adapter[Any, Transport]]:
    return [
        Adapter("lines", LineSettings, _create, interface=1, summary="a JSON document per line")
    ]
