"""Logging, metrics and redaction. A leaf: every other package may import it."""
