"""The in-process broker: topics and mailboxes in memory."""

from nexxus.adapters.in_process.broker.broker import InProcessBroker

__all__ = ["InProcessBroker"]
