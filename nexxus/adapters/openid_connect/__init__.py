"""Signing in at OpenID Connect providers; ``strategy.py`` is its face."""
