"""Delivery: from an event to the bytes for each connection, and the log for resuming."""
