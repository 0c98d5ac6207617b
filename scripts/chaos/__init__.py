"""Chaos: kills the processes of a cluster under load and interrupts its network."""
