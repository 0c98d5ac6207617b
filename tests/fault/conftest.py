"""Storms and nonsense come upon a server in which no coverage is measured."""

from __future__ import annotations

from unmeasured_server import admin, endpoint

__all__ = ["admin", "endpoint"]
