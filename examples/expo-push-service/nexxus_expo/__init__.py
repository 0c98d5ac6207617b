"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_expo.settings import ExpoSettings

if TYPE_CHECKING:
    from nexxus.interfaces.push_service import PushService


def create(settings: ExpoSettings, context: AdapterContext) -> PushService:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_expo.push_service import ExpoService

    return ExpoService(settings)


@hookimpl
def nexxus_push_services() -> list[Adapter[Any, PushService]]:
    return [
        Adapter(
            "expo",
            ExpoSettings,
            create,
            interface=1,
            summary="reaches React Native applications through Expo",
        )
    ]
