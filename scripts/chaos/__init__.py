"""Chaos: a cluster under load whose processes are killed and whose network is cut."""
