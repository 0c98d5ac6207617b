"""The role that runs custom workers."""

from nexxus.workers.runner import WorkerRunner

__all__ = ["WorkerRunner"]
