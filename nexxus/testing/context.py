"""What an adapter is given, for tests that create one."""

from __future__ import annotations

from pathlib import Path

from nexxus.hookspecs import AdapterContext
from nexxus.interfaces.logger import Logger
from nexxus.observability.figures import Figures
from nexxus.testing.journal import Journal


def adapter_context(
    data_dir: Path, *, node: str = "a-node", logger: Logger | None = None
) -> AdapterContext:
    """Return a context; without a `logger`, what is logged is remembered in a `Journal`."""
    return AdapterContext(node, data_dir, logger or Journal(), Figures())
