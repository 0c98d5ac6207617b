"""References to files, ``${file:/path}``; ``config_provider.py`` is its face."""
