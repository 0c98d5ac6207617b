"""Conformance kits: what every implementation of an interface must pass."""
