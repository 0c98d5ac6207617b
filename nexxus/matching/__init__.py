"""Matching: the index from an event to its channels."""

from nexxus.matching.index import RouteIndex

__all__ = ["RouteIndex"]
