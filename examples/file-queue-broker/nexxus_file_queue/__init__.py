"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_file_queue.settings import FileQueueSettings

if TYPE_CHECKING:
    from nexxus.interfaces.broker import Broker


def create(settings: FileQueueSettings, context: AdapterContext) -> Broker:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_file_queue.broker import FileQueueBroker

    return FileQueueBroker(settings, data_dir=context.data_dir, logger=context.logger)


@hookimpl
def nexxus_brokers() -> list[Adapter[Any, Broker]]:
    return [
        Adapter(
            "file-queue",
            FileQueueSettings,
            create,
            interface=1,
            scope="process",
            summary="durable queues in a file, for one process",
        )
    ]
