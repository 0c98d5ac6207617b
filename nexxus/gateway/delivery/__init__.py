"""Delivery: from an event to the bytes that each connection gets, and what is remembered of it."""
