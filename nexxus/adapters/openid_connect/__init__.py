"""Signing in at OpenID Connect providers; ``auth_strategy.py`` is its face."""
