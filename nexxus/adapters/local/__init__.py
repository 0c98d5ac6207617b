"""Signing in with a user name and a password; ``auth_strategy.py`` implements the interface."""
