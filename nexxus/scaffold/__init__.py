"""Writes the package of a new plugin: a small one that works, and passes its conformance kit."""

from nexxus.scaffold.kinds import KINDS, NewKind
from nexxus.scaffold.package import NewPlugin, files_of, write

__all__ = ["KINDS", "NewKind", "NewPlugin", "files_of", "write"]
