"""Broker and registry of one process, with nothing to install and nothing to connect to."""
