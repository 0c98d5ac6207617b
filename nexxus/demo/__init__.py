"""The demonstration: a departures board of real flights, fed through the public API only."""

from nexxus.demo.run import run
from nexxus.demo.site import site

__all__ = ["run", "site"]
