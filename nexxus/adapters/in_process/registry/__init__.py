"""The in-process registry, one module per thing that it keeps."""

from nexxus.adapters.in_process.registry.registry import InProcessRegistry

__all__ = ["InProcessRegistry"]
