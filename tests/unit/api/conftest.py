"""One node's objects."""

from objects_world import world

__all__ = ["world"]
