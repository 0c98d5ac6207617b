"""The demo: a departures board of real flights, fed only through the public API."""

from nexxus.demo.run import run
from nexxus.demo.site import site

__all__ = ["run", "site"]
