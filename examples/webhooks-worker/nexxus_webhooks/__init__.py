"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_webhooks.settings import WebhooksSettings

if TYPE_CHECKING:
    from nexxus.interfaces.worker import Worker


def create(settings: WebhooksSettings, context: AdapterContext) -> Worker:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_webhooks.worker import WebhooksWorker

    worker = WebhooksWorker(settings)
    context.figures.add(worker.figures)
    return worker


@hookimpl
def nexxus_workers() -> list[Adapter[Any, Worker]]:
    return [
        Adapter(
            "webhooks",
            WebhooksSettings,
            create,
            interface=1,
            summary="posts every event to a URL, signed",
        )
    ]
