"""References to files, ``${file:/path}``; ``config_provider.py`` implements the interface."""
