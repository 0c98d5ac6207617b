"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_polling.settings import PollingSettings

if TYPE_CHECKING:
    from nexxus.interfaces.transport import Transport


def create(settings: PollingSettings, context: AdapterContext) -> Transport:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_polling.transport import PollingTransport

    return PollingTransport(settings)


@hookimpl
def nexxus_transports() -> list[Adapter[Any, Transport]]:
    return [
        Adapter(
            "polling",
            PollingSettings,
            create,
            interface=1,
            summary="long polling over HTTP",
        )
    ]
