"""Nexxus: a self-hosted, pluggable, real-time synchronization backend."""

from typing import TYPE_CHECKING, Any

from nexxus.version import __version__

if TYPE_CHECKING:
    from nexxus.config import Config
    from nexxus.server import Nexxus

__all__ = ["Config", "Nexxus", "__version__"]


def __getattr__(name: str) -> Any:
    # Importing a submodule, as the command line does, is not to import the whole server.
    if name == "Nexxus":
        from nexxus.server import Nexxus

        return Nexxus
    if name == "Config":
        from nexxus.config import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
