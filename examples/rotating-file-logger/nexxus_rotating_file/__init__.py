"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_rotating_file.settings import RotatingFileSettings

if TYPE_CHECKING:
    from nexxus.interfaces.logger import Logger


def create(settings: RotatingFileSettings, context: AdapterContext) -> Logger:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_rotating_file.logger import RotatingFileLogger

    return RotatingFileLogger(settings, data_dir=context.data_dir, node=context.node)


@hookimpl
def nexxus_loggers() -> list[Adapter[Any, Logger]]:
    return [
        Adapter(
            "rotating-file",
            RotatingFileSettings,
            create,
            interface=1,
            summary="JSON lines in a file that is replaced when it is full",
        )
    ]
