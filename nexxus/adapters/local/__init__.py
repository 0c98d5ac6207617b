"""Signing in with a user name and a password; ``auth_strategy.py`` is its face."""
