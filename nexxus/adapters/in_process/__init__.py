"""Adapters for one process: nothing to install, nothing to connect to."""
