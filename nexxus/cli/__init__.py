"""The command line; each command is a module, imported only when it is used."""

from nexxus.cli.root import main

__all__ = ["main"]
