"""Devices: which of them this node serves, and how that outlasts lost connections and moves."""
