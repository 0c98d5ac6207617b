"""Signing in at OpenID Connect providers; ``auth_strategy.py`` implements the interface."""
