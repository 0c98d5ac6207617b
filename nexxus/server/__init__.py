"""The server: everything that a process is made of, and its life from start to stop."""

from nexxus.server.server import Nexxus

__all__ = ["Nexxus"]
