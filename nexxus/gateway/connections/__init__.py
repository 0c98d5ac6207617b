"""Connections: what a peer asks for, in which order, and when time is up."""
